//! What a command acts on, as policy sees it. The engine reads it from a snapshot before it asks policy; the writer
//! reads it again, so that a decision never outlives what it rested on.

use agentd_schemas::document::request::Scope;
use agentd_schemas::id::{ScheduleId, WorkId};
use agentd_schemas::unit::name::Slug;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::Loaded;
use crate::domain::Command;
use crate::domain::command::{RunRef, Submitter};
use crate::policy::Resource;

/// The resource of a command; `None` when the thing does not exist.
pub fn of(tx: &Connection, command: &Command) -> Loaded<Option<Resource>> {
    match command {
        Command::SubmitWorks { owner, from, .. } => match from {
            Submitter::Run(named) => run(tx, named),
            _ => Ok(Some(Resource::owned("works of one's own", *owner))),
        },
        Command::CancelWork { work: id, .. }
        | Command::RetryWork { work: id, .. }
        | Command::AcceptResult { work: id, .. }
        | Command::RejectResult { work: id, .. }
        | Command::RaiseLimits { work: id, .. }
        | Command::AddNote { work: id, .. }
        | Command::AnswerRun { work: id, .. }
        | Command::Hold { work: id, .. } => work(tx, *id),
        Command::StartRun { run: named, .. }
        | Command::ReserveCost { run: named, .. }
        | Command::SettleCost { run: named, .. }
        | Command::AddRunNote { run: named, .. }
        | Command::AskPerson { run: named, .. }
        | Command::CompleteWork { run: named, .. }
        | Command::FailRun { run: named, .. } => run(tx, named),
        Command::ClaimWork { agent: name, .. }
        | Command::ActivateAgent { agent: name, .. }
        | Command::RestartProbation { agent: name, .. }
        | Command::PauseAgent { agent: name, .. }
        | Command::ResumeAgent { agent: name, .. }
        | Command::SuspendAgent { agent: name, .. }
        | Command::RetireAgent { agent: name, .. }
        | Command::DeclareSkills { agent: name, .. }
        | Command::RotateKey { agent: name, .. }
        | Command::CertifyKey { agent: name, .. }
        | Command::RevokeKey { agent: name, .. }
        | Command::BindModel { agent: name, .. }
        | Command::BindProgram { agent: name, .. } => agent(tx, name),
        Command::EnrolAgent { agent } => {
            Ok(Some(Resource::owned(format!("agent {}", agent.document.name), agent.owner)))
        }
        Command::AddSchedule { schedule } => Ok(Some(Resource::owned("schedules of one's own", schedule.owner))),
        Command::PauseSchedule { schedule: id, .. }
        | Command::ResumeSchedule { schedule: id }
        | Command::RemoveSchedule { schedule: id } => schedule(tx, *id),
        Command::SetObjective { owner, .. } | Command::RemoveObjective { owner, .. } => {
            Ok(Some(Resource::owned("objectives of one's own", *owner)))
        }
        Command::Freeze { scope, .. } | Command::Thaw { scope } => match scope {
            Scope::All => Ok(Some(Resource::host())),
            Scope::Work(id) => work(tx, *id),
            Scope::Agent(name) => agent(tx, name),
        },
        _ => Ok(Some(Resource::host())),
    }
}

/// A work, with the agent that holds it or held it last.
pub fn work(tx: &Connection, id: WorkId) -> Loaded<Option<Resource>> {
    let sql = "SELECT w.owner, a.name, a.state FROM works w LEFT JOIN runs r ON r.key = w.run
               LEFT JOIN agents a ON a.key = r.agent WHERE w.id = ?1";
    let found: Option<(u32, Option<String>, Option<String>)> = tx
        .prepare_cached(sql)?
        .query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    Ok(found.map(|(owner, agent, state)| Resource {
        name: format!("work {id}"),
        owner: Some(owner),
        agent: agent.and_then(|name| name.parse().ok()),
        suspended: is_shut_out(state.as_deref()),
    }))
}

/// A run: its work, with the agent to which this very lease was given. An agent that lost its work to another one thus
/// hears that its fence is stale, and not that there is no such work.
pub fn run(tx: &Connection, named: &RunRef) -> Loaded<Option<Resource>> {
    let sql =
        "SELECT w.owner, a.name, a.state FROM runs r JOIN works w ON w.key = r.work JOIN agents a ON a.key = r.agent
               WHERE r.key = ?1 AND r.incarnation = ?2 AND r.attempt = ?3 AND w.id = ?4";
    let given: Option<(u32, String, String)> = tx
        .prepare_cached(sql)?
        .query_row(params![named.fence.n, named.fence.incarnation, named.attempt, named.work.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((owner, agent, state)) = given else { return work(tx, named.work) };
    Ok(Some(Resource {
        name: format!("work {}", named.work),
        owner: Some(owner),
        agent: agent.parse().ok(),
        suspended: is_shut_out(Some(&state)),
    }))
}

fn is_shut_out(state: Option<&str>) -> bool {
    matches!(state, Some("suspended" | "retired"))
}

/// An agent.
pub fn agent(tx: &Connection, name: &Slug) -> Loaded<Option<Resource>> {
    let sql = "SELECT owner, state FROM agents WHERE name = ?1";
    let found: Option<(u32, String)> =
        tx.prepare_cached(sql)?.query_row([name.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(found.map(|(owner, state)| Resource {
        name: format!("agent {name}"),
        owner: Some(owner),
        agent: Some(name.clone()),
        suspended: is_shut_out(Some(&state)),
    }))
}

/// A schedule.
pub fn schedule(tx: &Connection, id: ScheduleId) -> Loaded<Option<Resource>> {
    let sql = "SELECT owner FROM schedules WHERE id = ?1 AND state < 2";
    let owner: Option<u32> = tx.prepare_cached(sql)?.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
    Ok(owner.map(|owner| Resource::owned(format!("schedule {id}"), owner)))
}
