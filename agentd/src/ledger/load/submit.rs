//! Facts about a submit: what the new works refer to, and what room there is.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use agentd_schemas::event::{AgentState, WorkState};
use agentd_schemas::id::WorkId;
use agentd_schemas::unit::name::{Skill, Slug};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::works::{state, work};
use super::{Loaded, accounts, host};
use crate::domain::command::Submitter;
use crate::domain::matching::MAX_DEMANDS;
use crate::domain::work::claim::needs_workspace;
use crate::domain::work::submit::{Demands, LinkedWork, NamedAgent, SubmitFacts};
use crate::domain::work::{NewWork, Reference};
use crate::ledger::project::works::skills_json;

/// What a submit for an owner needs to know.
pub fn submit_facts(tx: &Connection, owner: u32, works: &[NewWork], from: &Submitter) -> Loaded<SubmitFacts> {
    let (open_works, own_open_works) = open_works(tx, owner)?;
    let mut facts = SubmitFacts { open_works, own_open_works, ..SubmitFacts::default() };
    if let Submitter::Run(named) = from {
        facts.run = work(tx, named.work, false)?;
        facts.frozen = host::frozen(tx)?;
        link(tx, &mut facts.linked, named.work)?;
    }
    let from_run = facts.run.as_ref().map(|run| run.id);
    let wholes = works.iter().filter_map(|new| match new.parent {
        Some(Reference::Work(id)) => Some(id),
        _ => None,
    });
    // What is left matters to those alone that name limits.
    let limited = works.iter().any(|new| new.spec.max_cost_micro_usd.is_some() || new.spec.max_tokens.is_some());
    for id in wholes.chain(from_run).filter(|_| limited) {
        if let Entry::Vacant(room) = facts.rooms.entry(id) {
            room.insert(accounts::chain(tx, id)?);
        }
    }
    for new in works {
        for reference in new.depends_on.iter().chain(&new.parent) {
            if let Reference::Work(id) = reference {
                link(tx, &mut facts.linked, *id)?;
            }
        }
        if let Some(name) = &new.spec.agent
            && !facts.agents.contains_key(name.as_str())
        {
            let sql = "SELECT state, owner, shared FROM agents WHERE name = ?1";
            let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?));
            let found: Option<(String, u32, bool)> =
                tx.prepare_cached(sql)?.query_row([name.as_str()], read).optional()?;
            if let Some((state, owner, shared)) = found
                && let Some(state) = AgentState::parse(&state)
            {
                facts.agents.insert(name.to_string(), NamedAgent { state, owner, shared });
            }
        }
    }
    facts.demands = demands(tx, owner, works)?;
    Ok(facts)
}

/// How many demands of the owner's open works there are, where the new works add to them.
fn demands(tx: &Connection, owner: u32, works: &[NewWork]) -> Loaded<Demands> {
    let asked = works.iter().map(|new| {
        let agent = new.spec.agent.as_ref().map_or("", Slug::as_str);
        (agent, new.spec.required_skills.as_slice(), needs_workspace(&new.spec))
    });
    let mut asked: Vec<(&str, &[Skill], bool)> = asked.collect();
    asked.sort_unstable();
    asked.dedup();
    let mut fresh = 0;
    for (agent, skills, started) in asked {
        let sql = "SELECT 1 FROM queues WHERE owner = ?1 AND agent = ?2 AND skills = ?3 AND started = ?4
                   AND open > 0";
        fresh += u64::from(!tx.prepare_cached(sql)?.exists(params![owner, agent, skills_json(skills), started])?);
    }
    let sql = "SELECT count(*) FROM (SELECT 1 FROM queues WHERE owner = ?1 AND open > 0 LIMIT ?2)";
    let open = match fresh {
        0 => 0,
        _ => tx.prepare_cached(sql)?.query_row(params![owner, MAX_DEMANDS], |row| row.get(0))?,
    };
    Ok(Demands { open, fresh })
}

/// Works that are not over: of all, and of the owner. Both are counted as events go by.
fn open_works(tx: &Connection, owner: u32) -> Loaded<(u64, u64)> {
    let sql = "SELECT coalesce(sum(n), 0), coalesce(sum(n) FILTER (WHERE owner = ?1), 0) FROM counts WHERE state < 7";
    Ok(tx.prepare_cached(sql)?.query_row([owner], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

fn link(tx: &Connection, linked: &mut HashMap<WorkId, LinkedWork>, id: WorkId) -> Loaded<()> {
    if linked.contains_key(&id) {
        return Ok(());
    }
    let sql = "SELECT key, state, owner, dependants, children, depth FROM works WHERE id = ?1";
    let found = tx
        .prepare_cached(sql)?
        .query_row([id.as_bytes()], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                LinkedWork {
                    state: WorkState::Ready,
                    owner: row.get(2)?,
                    dependants: row.get(3)?,
                    children: row.get(4)?,
                    depth: row.get(5)?,
                },
            ))
        })
        .optional()?;
    if let Some((key, number, work)) = found {
        linked.insert(id, LinkedWork { state: state(key, number)?, ..work });
    }
    Ok(())
}
