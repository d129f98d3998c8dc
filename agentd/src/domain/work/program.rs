//! The program of a run that agentd starts: that it ended, what it used, and what the criteria say of what it begins with.

use agentd_schemas::content::TEXT;
use agentd_schemas::event::{BaseJudged, FailureReason, ProgramExited, RunEnded, Subject, Verdict};
use agentd_schemas::id::RunId;
use agentd_schemas::launch::Ending;

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

/// The program of a run ended while the run waits, at its start number `start`. It is said once for each start; `known` is the
/// last one of which it was said: of one before it that nothing was said of, nothing is to be said any more.
pub fn exited(
    work: &WorkFacts,
    named: &RunRef,
    (start, ending): (u32, &Ending),
    handed_in: bool,
    known: u32,
) -> Vec<Draft> {
    let waiting = work.live(named).ok().and_then(|run| run.waiting.clone());
    let Some(waiting) = waiting.filter(|_| start > known) else { return Vec::new() };
    vec![work.draft(ProgramExited { start, ending: ending.clone(), waiting, handed_in }).by_host()]
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

#[cfg(test)]
mod tests {
    use agentd_schemas::event::WaitReason;
    use agentd_schemas::launch::Usage;

    use super::*;
    use crate::domain::fixture;

    fn ended_with(code: i32) -> RunEnded {
        RunEnded {
            ending: Ending::Exited(code),
            stopped: None,
            oom_killed: false,
            usage: Usage::default(),
            stdout_bytes: 2,
            stderr_bytes: 0,
        }
    }

    #[test]
    fn the_end_of_a_program_is_said_once_by_the_host_for_the_owner_and_of_its_own_run() {
        let named = fixture::named();
        let facts = ProgramFacts { epoch: 3, ended: false, owner: 1000 };
        let drafts = ended(Some(facts), &named, &ended_with(1), [b"hi", b""]).unwrap();
        assert_eq!(fixture::names(&drafts), ["RunEnded"]);
        let draft = &drafts[0];
        assert_eq!(draft.run, Some(RunId { work: named.work, attempt: named.attempt }));
        assert_eq!((draft.epoch, draft.actor.is_some(), draft.on_behalf.is_some()), (Some(3), true, true));
        assert_eq!(draft.blobs[0].bytes, b"hi");
        let known = ProgramFacts { ended: true, ..facts };
        assert!(ended(Some(known), &named, &ended_with(0), [b"", b""]).unwrap().is_empty());
        assert!(ended(None, &named, &ended_with(0), [b"", b""]).unwrap().is_empty(), "a lease that was never given");
    }

    #[test]
    fn that_a_program_ended_while_its_run_waits_is_said_once_for_each_start() {
        let (mut work, named) = (fixture::work(), fixture::named());
        let exit = |work: &WorkFacts, start, known| exited(work, &named, (start, &Ending::Exited(0)), false, known);
        assert!(exit(&work, 1, 0).is_empty(), "who waits for nobody is judged");
        work.run.as_mut().unwrap().waiting = Some(WaitReason::Person);
        let drafts = exit(&work, 1, 0);
        assert_eq!(fixture::names(&drafts), ["ProgramExited"]);
        assert!(drafts[0].actor.is_some() && drafts[0].run.is_some());
        assert!(exit(&work, 1, 1).is_empty(), "it is known");
        assert_eq!(exit(&work, 2, 1).len(), 1);
        assert!(exit(&work, 1, 2).is_empty(), "it was not told in its time");
        work.state = agentd_schemas::event::WorkState::Cancelled;
        assert!(exit(&work, 2, 1).is_empty());
    }

    #[test]
    fn the_base_is_judged_once_and_not_when_the_work_is_over() {
        let work = fixture::work();
        assert_eq!(fixture::names(&base_judged(&work, false, &[]).unwrap()), ["BaseJudged"]);
        assert!(base_judged(&work, true, &[]).unwrap().is_empty());
        let over = WorkFacts { state: agentd_schemas::event::WorkState::Cancelled, ..work };
        assert!(base_judged(&over, false, &[]).unwrap().is_empty());
    }

    #[test]
    fn a_run_that_is_over_is_not_given_up_again() {
        let (work, agent, env) = (fixture::work(), fixture::agent(), fixture::env());
        let give = |work: &WorkFacts| {
            give_up(work, &agent, &fixture::named(), FailureReason::OutcomeUnknown, "nobody saw it", &env).unwrap()
        };
        assert_eq!(fixture::names(&give(&work)), ["AttemptFailed"]);
        let over = WorkFacts { state: agentd_schemas::event::WorkState::Cancelled, ..work };
        assert!(give(&over).is_empty());
    }
}
