//! What comes of the steps of a run, and of a program that did not end by itself.

use agentd_schemas::event::FailureReason;
use agentd_schemas::launch::{Ending, Outcome, StopCause};

use super::finish::{lost_reason, out_of_memory};
use super::judged::Made;
use crate::runner::Lost;

/// What comes of a run's steps.
pub(super) enum Conclusion {
    /// There is something to hand in.
    Made(Box<Made>),
    /// The attempt failed.
    Failed(FailureReason, String),
    /// There was no attempt: nobody started its program, for this reason.
    Away(String),
    /// The run was over before: nothing is to be said of it any more.
    Over,
}

impl Conclusion {
    pub(super) fn not_started(reason: impl Into<String>) -> Self {
        Self::Failed(FailureReason::NotStarted, reason.into())
    }
}

/// The end of a program whose shim is gone. What the kernel killed for its memory failed by itself, and counts as that.
pub(super) fn lost_program(lost: &Lost) -> Conclusion {
    let mut why = "nobody saw how its program ended: its shim is gone and left no outcome".to_owned();
    why.extend(lost.why.as_ref().map(|told| format!(" ({told})")));
    why.push_str(out_of_memory(lost.oom_killed));
    Conclusion::Failed(lost_reason(lost.oom_killed), why)
}

/// An end that makes what was left behind not worth judging.
pub(super) fn ended_badly(outcome: &Outcome) -> Option<Conclusion> {
    if let Some(StopCause::Timeout) = outcome.stopped {
        let why = "the attempt ran longer than its timeout";
        return Some(Conclusion::Failed(FailureReason::TimedOut, why.to_owned()));
    }
    match &outcome.ending {
        Ending::NotStarted(reason) => Some(Conclusion::not_started(reason.clone())),
        Ending::Lost(reason) => {
            let why = format!("{reason}{}", out_of_memory(outcome.oom_killed));
            Some(Conclusion::Failed(lost_reason(outcome.oom_killed), why))
        }
        // Somebody stopped the shim by hand, or the machine goes down.
        Ending::Exited(_) | Ending::Signalled(_) => outcome
            .stopped
            .map(|_| Conclusion::Failed(FailureReason::OutcomeUnknown, "its program was stopped".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_the_kernel_killed_for_its_memory_failed_and_one_that_is_just_gone_is_unknown() {
        let said = |oom_killed| {
            let why = Some("systemd says of x.service: oom-kill".to_owned());
            match lost_program(&Lost { why, usage: None, oom_killed }) {
                Conclusion::Failed(reason, why) => {
                    (reason, why.contains("its memory was used up"), why.contains("oom-kill"))
                }
                _ => panic!("it failed"),
            }
        };
        assert_eq!(said(true), (FailureReason::ProgramFailed, true, true));
        assert_eq!(said(false), (FailureReason::OutcomeUnknown, false, true));
    }
}
