//! Facts about agents.

use agentd_schemas::event::AgentState;
use agentd_schemas::unit::name::{Skill, Slug};
use agentd_schemas::unit::time::WallMs;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{LoadError, Loaded};
use crate::domain::Defaults;
use crate::domain::agent::{AgentFacts, EnrolFacts};
use crate::domain::command::NewAgent;
use crate::domain::matching::{Candidate, Certified, Demand, Evidence, able};

/// What a decision about one agent may know; none without an agent of this name.
pub fn facts(tx: &Connection, name: &Slug) -> Loaded<Option<AgentFacts>> {
    stored(tx, name)?.map(|stored| stored.facts(tx)).transpose()
}

/// What matching knows of one agent; none without an agent of this name.
pub fn candidate(tx: &Connection, name: &Slug) -> Loaded<Option<Candidate>> {
    stored(tx, name)?.map(|stored| stored.candidate(tx)).transpose()
}

/// The agents that may work for `owner`: its own and shared ones, oldest first, without retired ones. There are as many
/// as the host may have agents.
pub fn candidates_for(tx: &Connection, owner: u32) -> Loaded<Vec<Candidate>> {
    let sql = concat!(columns!(), " WHERE (owner = ?1 OR shared = 1) AND state <> 'retired' ORDER BY key");
    let stored: Vec<Stored> =
        tx.prepare_cached(sql)?.query_map([owner], Stored::read)?.collect::<rusqlite::Result<_>>()?;
    stored.iter().map(|stored| stored.candidate(tx)).collect()
}

/// Those of the sorted skill sets that no agent of [`candidates_for`] claims whole. Ends with the first agents that
/// claim them: mostly there is one.
pub fn lacking<'a>(tx: &Connection, owner: u32, sets: &'a [Vec<Skill>]) -> Loaded<Vec<&'a Vec<Skill>>> {
    let mut lacking: Vec<&Vec<Skill>> = sets.iter().collect();
    let sql = "SELECT key, skills FROM agents WHERE (owner = ?1 OR shared = 1) AND state <> 'retired'";
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query([owner])?;
    while let Some(row) = rows.next()?.filter(|_| !lacking.is_empty()) {
        let claimed: Vec<Skill> =
            serde_json::from_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?).map_err(|error| {
                LoadError::Table { table: "agents", row: row.get(0).unwrap_or(-1), what: format!("skills: {error}") }
            })?;
        lacking.retain(|needed| !needed.iter().all(|skill| claimed.binary_search(skill).is_ok()));
    }
    Ok(lacking)
}

/// Those of the owner's demands that no agent of [`candidates_for`] is able to serve. Ends with the first agents that
/// are: mostly there is one.
pub fn unserved(tx: &Connection, owner: u32, mut demands: Vec<Demand>, defaults: &Defaults) -> Loaded<Vec<Demand>> {
    let sql = concat!(columns!(), " WHERE (owner = ?1 OR shared = 1) AND state <> 'retired'");
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query([owner])?;
    while !demands.is_empty()
        && let Some(row) = rows.next()?
    {
        let agent = Stored::read(row)?.candidate(tx)?;
        demands.retain(|demand| able(&agent, demand, defaults).is_err());
    }
    Ok(demands)
}

/// What is known when an agent is enrolled.
pub fn enrol(tx: &Connection, new: &NewAgent) -> Loaded<EnrolFacts> {
    let sql = "SELECT COUNT(*), COUNT(*) FILTER (WHERE owner = ?2),
                   EXISTS (SELECT 1 FROM agents WHERE name = ?1) FROM agents WHERE state <> 'retired'";
    let (agents, own_agents, name_taken) = tx
        .prepare_cached(sql)?
        .query_row(params![new.document.name.as_str(), new.owner], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(EnrolFacts { name_taken, key_of: key_of(tx, &new.public_key)?, agents, own_agents })
}

/// The name of the agent that has or had this key, which is compared as text.
pub fn key_of(tx: &Connection, public_key: &str) -> Loaded<Option<String>> {
    let sql = "SELECT agents.name FROM agent_keys JOIN agents ON agents.key = agent_keys.agent
               WHERE agent_keys.public_key = ?1";
    Ok(tx.prepare_cached(sql)?.query_row([public_key], |row| row.get(0)).optional()?)
}

/// What the columns `authority IS NOT NULL`, `certified_from` and `certified_until` say.
pub fn certified(needed: bool, from: Option<i64>, until: Option<i64>) -> Certified {
    match (from, until) {
        _ if !needed => Certified::NotNeeded,
        (Some(from), Some(until)) => Certified::During(WallMs::saturating(from), WallMs::saturating(until)),
        _ => Certified::Never,
    }
}

/// One row as the table has it.
struct Stored {
    key: i64,
    name: String,
    owner: u32,
    shared: bool,
    state: String,
    state_before: String,
    key_revoked: bool,
    skills: String,
    live: u32,
    max_concurrency: u32,
    epoch: u32,
    public_key: String,
    model: Option<String>,
    judged: u64,
    accepted: u64,
    failures_in_a_row: u32,
    started: bool,
    authority: Option<String>,
    certified_from: Option<i64>,
    certified_until: Option<i64>,
}

/// Every column of [`Stored`], in its order.
macro_rules! columns {
    () => {
        "SELECT key, name, owner, shared, state, state_before, key_revoked, skills, live, max_concurrency, epoch,
             public_key, model, judged, accepted, failures_in_a_row, program IS NOT NULL,
             authority, certified_from, certified_until FROM agents"
    };
}
use columns;

fn stored(tx: &Connection, name: &Slug) -> Loaded<Option<Stored>> {
    let sql = concat!(columns!(), " WHERE name = ?1");
    Ok(tx.prepare_cached(sql)?.query_row([name.as_str()], Stored::read).optional()?)
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(0)?,
            name: row.get(1)?,
            owner: row.get(2)?,
            shared: row.get(3)?,
            state: row.get(4)?,
            state_before: row.get(5)?,
            key_revoked: row.get(6)?,
            skills: row.get(7)?,
            live: row.get(8)?,
            max_concurrency: row.get(9)?,
            epoch: row.get(10)?,
            public_key: row.get(11)?,
            model: row.get(12)?,
            judged: row.get(13)?,
            accepted: row.get(14)?,
            failures_in_a_row: row.get(15)?,
            started: row.get(16)?,
            authority: row.get(17)?,
            certified_from: row.get(18)?,
            certified_until: row.get(19)?,
        })
    }

    fn broken(&self, what: impl std::fmt::Display) -> LoadError {
        LoadError::Table { table: "agents", row: self.key, what: what.to_string() }
    }

    fn state(&self, text: &str) -> Loaded<AgentState> {
        AgentState::parse(text).ok_or_else(|| self.broken(format_args!("{text:?} is not a state of an agent")))
    }

    fn candidate(&self, tx: &Connection) -> Loaded<Candidate> {
        Ok(Candidate {
            name: self.name.parse().map_err(|error| self.broken(error))?,
            owner: self.owner,
            shared: self.shared,
            state: self.state(&self.state)?,
            key_revoked: self.key_revoked,
            certified: certified(self.authority.is_some(), self.certified_from, self.certified_until),
            skills: serde_json::from_str(&self.skills).map_err(|error| self.broken(format_args!("skills: {error}")))?,
            started: self.started,
            evidence: self.evidence(tx)?,
            live: self.live,
            max_concurrency: self.max_concurrency,
            epoch: self.epoch,
        })
    }

    fn facts(&self, tx: &Connection) -> Loaded<AgentFacts> {
        let model = self.model.as_deref().map(serde_json::from_str).transpose();
        Ok(AgentFacts {
            candidate: self.candidate(tx)?,
            public_key: self.public_key.clone(),
            authority: self.authority.clone(),
            model: model.map_err(|error| self.broken(format_args!("model: {error}")))?,
            judged_in_epoch: self.judged,
            accepted_in_epoch: self.accepted,
            failures_in_a_row: self.failures_in_a_row,
            state_before: self.state(&self.state_before)?,
        })
    }

    /// Evidence for the skills that the agent claims now: others are never looked at, and would have no bound.
    fn evidence(&self, tx: &Connection) -> Loaded<Vec<Evidence>> {
        let sql = "SELECT evidence.skill, evidence.judged, evidence.accepted
                   FROM json_each(?3) AS claimed CROSS JOIN evidence
                   WHERE evidence.agent = ?1 AND evidence.epoch = ?2 AND evidence.skill = claimed.value";
        let mut found = tx.prepare_cached(sql)?;
        let mut rows = found.query(params![self.key, self.epoch, self.skills])?;
        let mut evidence = Vec::new();
        while let Some(row) = rows.next()? {
            let skill: Skill = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?.parse().map_err(|error| {
                LoadError::Table { table: "evidence", row: self.key, what: format!("skill: {error}") }
            })?;
            evidence.push(Evidence { skill, judged: row.get(1)?, accepted: row.get(2)? });
        }
        Ok(evidence)
    }
}

#[cfg(test)]
mod tests;
