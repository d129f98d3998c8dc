//! The program of a run that agentd starts: that it ended, what it used, and what the criteria say of what it begins with.

use agentd_schemas::content::TEXT;
use agentd_schemas::event::{BaseJudged, FailureReason, RunEnded, Subject, Verdict};
use agentd_schemas::id::RunId;

use super::{WorkFacts, recover};
use crate::domain::agent::AgentFacts;
use crate::domain::command::RunRef;
use crate::domain::{Decision, Draft, Env};

/// What the ledger knows of one run, living or over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramFacts {
    /// Model epoch.
    pub epoch: u32,
    /// The end of its program is known already.
    pub ended: bool,
    /// The owner of its work.
    pub owner: u32,
}

/// The program of a run ended. It is said once, and also of a run that is over: what it used was used.
pub fn ended(facts: Option<ProgramFacts>, named: &RunRef, end: &RunEnded, output: [&[u8]; 2]) -> Decision {
    let Some(facts) = facts.filter(|facts| !facts.ended) else { return Ok(Vec::new()) };
    let run = RunId { work: named.work, attempt: named.attempt };
    let draft = Draft::new(Subject::Work(named.work), end.clone()).by_host().on_behalf_of(facts.owner);
    let [stdout, stderr] = output;
    let draft = draft.in_run(run, facts.epoch).with_blob(0, TEXT, stdout).with_blob(1, TEXT, stderr);
    Ok(vec![draft])
}

/// The criteria were tried on what the runs of a work begin with. It is said once.
pub fn base_judged(work: &WorkFacts, known: bool, verdicts: &[Verdict]) -> Decision {
    if known || work.state.is_past() {
        return Ok(Vec::new());
    }
    Ok(vec![Draft::new(work.subject(), BaseJudged { verdicts: verdicts.to_vec() }).by_host()])
}

/// The daemon gives an attempt up: its program could not be started, failed, or is lost. One that is over is left alone.
pub fn give_up(
    work: &WorkFacts,
    agent: &AgentFacts,
    named: &RunRef,
    reason: FailureReason,
    words: &str,
    env: &Env,
) -> Decision {
    Ok(recover::end_attempt(work, agent, named, reason, words, env))
}
