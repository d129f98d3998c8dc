//! What a freeze means for a run. It stands still: it takes on no new money and no new works. What it did before the
//! freeze is recorded all the same: a result, what was spent, a note. Refusing to write that down would make the ledger
//! lie.

use agentd_schemas::document::request::Scope;
use agentd_schemas::id::WorkId;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;

use super::WorkFacts;
use crate::domain::Rejection;
use crate::domain::command::RunRef;

/// Whether a freeze covers a run of this work by this agent.
pub fn covers(scope: &Scope, work: WorkId, agent: &Slug) -> bool {
    match scope {
        Scope::All => true,
        Scope::Work(id) => *id == work,
        Scope::Agent(name) => name == agent,
    }
}

/// Refuses what a living run may not take on while it is frozen.
pub fn refuse(work: &WorkFacts, named: &RunRef, frozen: &[Scope]) -> Result<(), Rejection> {
    let run = work.live(named)?;
    let Some(scope) = frozen.iter().find(|scope| covers(scope, work.id, &run.agent)) else { return Ok(()) };
    let (what, thaw) = match scope {
        Scope::All => ("the whole host is frozen".to_owned(), "--all".to_owned()),
        Scope::Work(id) => (format!("work {id} is frozen"), id.to_string()),
        Scope::Agent(name) => (format!("agent {name} is frozen"), name.to_string()),
    };
    let problem =
        Problem::new(Code::Frozen, format!("run {}.{} takes on nothing new: {what}", named.work, named.attempt));
    Err(problem
        .hint(format!("stand still and go on sending heartbeats; a person ends the freeze: agentctl thaw {thaw}"))
        .detail("work", work.id.to_string()))
}
