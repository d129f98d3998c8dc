//! Agents: who they are, their keys, their state, their model. What they do with works is projected with the works.
//!
//! Invariant: `state_before` is always probation or active, so that whoever is resumed goes back to work.

use agentd_schemas::event::{
    AgentEnrolled, AgentState, Event, EventData, KeyCertified, KeyRevoked, KeyRotated, ModelBound, ProbationStarted,
};
use agentd_schemas::unit::name::Slug;
use rusqlite::{Connection, Result, params};

use super::{change, exec, json, misplaced};

/// Applies one event about the agent.
pub(super) fn project(tx: &Connection, event: &Event, name: &Slug) -> Result<()> {
    match &event.data {
        EventData::AgentEnrolled(data) => enrolled(tx, event, name, data),
        EventData::AgentActivated(_) => activated(tx, event, name),
        EventData::ProbationStarted(data) => probation_started(tx, event, name, data),
        EventData::AgentPaused(data) => stopped(tx, event, name, AgentState::Paused, &data.reason),
        EventData::AgentSuspended(data) => stopped(tx, event, name, AgentState::Suspended, &data.reason),
        EventData::AgentRetired(data) => stopped(tx, event, name, AgentState::Retired, &data.reason),
        EventData::AgentResumed(data) => resumed(tx, event, name, data.to),
        EventData::SkillsDeclared(data) => {
            let sql = "UPDATE agents SET version = ?2, skills = ?3 WHERE name = ?1";
            change(tx, sql, params![name.as_str(), event.envelope.version, json(&data.skills)?])
        }
        EventData::ProgramBound(_) => {
            let sql = "UPDATE agents SET version = ?2, program = ?3 WHERE name = ?1";
            change(tx, sql, params![name.as_str(), event.envelope.version, event.envelope.index])
        }
        EventData::KeyRotated(data) => key_rotated(tx, event, name, data),
        EventData::KeyRevoked(data) => key_revoked(tx, event, name, data),
        EventData::KeyCertified(data) => key_certified(tx, event, name, data),
        EventData::ModelBound(data) => model_bound(tx, event, name, data),
        other => Err(misplaced(other)),
    }
}

fn enrolled(tx: &Connection, event: &Event, name: &Slug, data: &AgentEnrolled) -> Result<()> {
    let envelope = &event.envelope;
    let sql = "INSERT INTO agents (key, name, version, state, state_before, owner, shared, agent_id, custody,
                   public_key, skills, max_concurrency, model, epoch, enrolled_ms, program, authority, declared)
               VALUES (?1, ?2, ?3, 'probation', 'probation', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 1, ?12, ?13, ?14, ?15)";
    let row = params![
        envelope.index,
        name.as_str(),
        envelope.version,
        data.owner,
        data.shared,
        data.agent_id,
        custody(data.custody),
        data.public_key,
        json(&data.skills)?,
        data.max_concurrency,
        data.model.as_ref().map(json).transpose()?,
        envelope.time.as_ms(),
        data.runtime.as_ref().map(|_| envelope.index),
        data.authority.as_ref().map(|authority| &authority.public_key),
        data.declared,
    ];
    exec(tx, sql, row)?;
    key_begins(tx, event, name, &data.public_key)?;
    epoch_begins(tx, event, name, 1)
}

/// As the wire writes it.
const fn custody(custody: agentd_schemas::event::Custody) -> &'static str {
    use agentd_schemas::event::Custody;
    match custody {
        Custody::Resident => "resident",
        Custody::Host => "host",
        Custody::Owner => "owner",
    }
}

fn activated(tx: &Connection, event: &Event, name: &Slug) -> Result<()> {
    let sql = "UPDATE agents SET version = ?2, state = 'active', state_before = 'active' WHERE name = ?1";
    change(tx, sql, params![name.as_str(), event.envelope.version])
}

/// Paused, suspended or retired: it remembers what it was when it was last at work.
fn stopped(tx: &Connection, event: &Event, name: &Slug, state: AgentState, reason: &str) -> Result<()> {
    let sql = "UPDATE agents SET version = ?2, state = ?3, reason = ?4,
                   state_before = CASE WHEN state IN ('probation', 'active') THEN state ELSE state_before END
               WHERE name = ?1";
    change(tx, sql, params![name.as_str(), event.envelope.version, state.as_str(), reason])
}

fn resumed(tx: &Connection, event: &Event, name: &Slug, to: AgentState) -> Result<()> {
    let sql = "UPDATE agents SET version = ?2, state = ?3, reason = NULL, failures_in_a_row = 0 WHERE name = ?1";
    change(tx, sql, params![name.as_str(), event.envelope.version, to.as_str()])
}

fn key_rotated(tx: &Connection, event: &Event, name: &Slug, data: &KeyRotated) -> Result<()> {
    key_ends(tx, event, &data.from)?;
    // A certificate is one of the key before.
    let sql = "UPDATE agents SET version = ?2, public_key = ?3, key_revoked = 0,
                   certified_from = NULL, certified_until = NULL WHERE name = ?1";
    change(tx, sql, params![name.as_str(), event.envelope.version, data.to])?;
    key_begins(tx, event, name, &data.to)
}

fn key_revoked(tx: &Connection, event: &Event, name: &Slug, data: &KeyRevoked) -> Result<()> {
    key_ends(tx, event, &data.public_key)?;
    let sql = "UPDATE agents SET version = ?2, key_revoked = 1 WHERE name = ?1 AND public_key = ?3";
    change(tx, sql, params![name.as_str(), event.envelope.version, data.public_key])
}

fn key_certified(tx: &Connection, event: &Event, name: &Slug, data: &KeyCertified) -> Result<()> {
    let sql = "UPDATE agents SET version = ?2, certified_from = ?4, certified_until = ?5
               WHERE name = ?1 AND public_key = ?3";
    let (from, until) = (data.valid_after.as_ms(), data.valid_before.as_ms());
    change(tx, sql, params![name.as_str(), event.envelope.version, data.public_key, from, until])
}

fn key_begins(tx: &Connection, event: &Event, name: &Slug, key: &str) -> Result<()> {
    let sql = "INSERT INTO agent_keys (public_key, agent, valid_from)
               VALUES (?1, (SELECT key FROM agents WHERE name = ?2), ?3)";
    exec(tx, sql, params![key, name.as_str(), event.envelope.index])
}

/// A key that was revoked before it was rotated ended with the revocation.
fn key_ends(tx: &Connection, event: &Event, key: &str) -> Result<()> {
    let sql = "UPDATE agent_keys SET valid_until = ?2 WHERE public_key = ?1 AND valid_until IS NULL";
    exec(tx, sql, params![key, event.envelope.index])
}

/// Another model is another agent as far as evidence goes: what it shows is counted from nothing.
fn model_bound(tx: &Connection, event: &Event, name: &Slug, data: &ModelBound) -> Result<()> {
    let model = data.to.as_ref().map(json).transpose()?;
    change(
        tx,
        "UPDATE agents SET version = ?2, model = ?3 WHERE name = ?1",
        params![name.as_str(), event.envelope.version, model],
    )?;
    counts_from_nothing(tx, event, name, data.epoch)
}

/// As a person says, after a repair.
fn probation_started(tx: &Connection, event: &Event, name: &Slug, data: &ProbationStarted) -> Result<()> {
    counts_from_nothing(tx, event, name, data.epoch)
}

fn counts_from_nothing(tx: &Connection, event: &Event, name: &Slug, epoch: u32) -> Result<()> {
    let sql = "UPDATE agents SET version = ?2, epoch = ?3, judged = 0, accepted = 0, failures_in_a_row = 0,
                   state = CASE state WHEN 'active' THEN 'probation' ELSE state END, state_before = 'probation'
               WHERE name = ?1";
    change(tx, sql, params![name.as_str(), event.envelope.version, epoch])?;
    epoch_begins(tx, event, name, epoch)
}

fn epoch_begins(tx: &Connection, event: &Event, name: &Slug, epoch: u32) -> Result<()> {
    let sql = "INSERT INTO epochs (agent, epoch, idx) VALUES ((SELECT key FROM agents WHERE name = ?1), ?2, ?3)";
    exec(tx, sql, params![name.as_str(), epoch, event.envelope.index])
}

#[cfg(test)]
mod tests;
