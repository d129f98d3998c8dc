//! What comes of the steps of a run, and of a program that did not end by itself.

use agentd_schemas::event::FailureReason;
use agentd_schemas::launch::{Ending, Outcome, StopCause};
use agentd_schemas::unit::size::Size;

use super::judged::Made;
use crate::runner::Lost;

/// A fault of the host that no attempt is used up for.
#[derive(Debug)]
pub(super) struct Fault {
    /// As the ledger has it: `launcher_away`, `runs_unwritable`.
    pub(super) because: &'static str,
    pub(super) reason: String,
}

/// What comes of a run's steps.
pub(super) enum Conclusion {
    /// There is something to hand in.
    Made(Box<Made>),
    /// The attempt failed.
    Failed(FailureReason, String),
    /// There was no attempt: nobody started its program, for this reason.
    Away(Fault),
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

/// Why the end of a step says nothing of what it looked at: it never began, or was not let end. One that took too long,
/// or too much of the disk, did so by itself.
pub(super) fn of_the_host(outcome: &Outcome) -> Option<FailureReason> {
    match (&outcome.ending, outcome.stopped) {
        (Ending::NotStarted(_), _) => Some(FailureReason::NotStarted),
        (Ending::Exited(_) | Ending::Signalled(_), None | Some(StopCause::Timeout | StopCause::OverSize)) => None,
        (Ending::Lost(_) | Ending::Exited(_) | Ending::Signalled(_), _) => Some(FailureReason::OutcomeUnknown),
    }
}

/// Why a step failed whose shim is gone. What the kernel killed for its memory failed by itself.
pub(super) fn lost_reason(oom_killed: bool) -> FailureReason {
    if oom_killed { FailureReason::ProgramFailed } else { FailureReason::OutcomeUnknown }
}

/// How a step ended, in words.
pub(super) fn how(outcome: &Outcome) -> String {
    let how = match (&outcome.ending, outcome.stopped) {
        (_, Some(cause)) => format!("it was stopped ({})", cause.as_str().replace('_', " ")),
        (Ending::Exited(code), None) => format!("exit code {code}"),
        (Ending::Signalled(signal), None) => format!("ended by signal {signal}"),
        (Ending::NotStarted(reason) | Ending::Lost(reason), None) => reason.clone(),
    };
    format!("{how}{}", out_of_memory(outcome.oom_killed))
}

/// That the kernel killed for want of memory, where it did.
pub(super) fn out_of_memory(oom_killed: bool) -> &'static str {
    if oom_killed {
        "; its memory was used up, and the kernel killed a process of it (resources.memory_max)"
    } else {
        ""
    }
}

/// That a program had used nearly all memory that it may have when it failed by itself: what it asks for beyond that it
/// does not get, and nobody is killed.
pub(super) fn near_its_memory(outcome: &Outcome, most: u64) -> String {
    let failed =
        matches!(outcome.ending, Ending::Exited(code) if code != 0) || matches!(outcome.ending, Ending::Signalled(_));
    if outcome.oom_killed || outcome.stopped.is_some() || !failed || outcome.usage.peak_bytes < most / 8 * 7 {
        return String::new();
    }
    let most = Size::from_bytes(most).map_or_else(|_| format!("{most} bytes"), |size| size.to_string());
    format!("; it had used nearly all of the memory that it may have ({most}, resources.memory_max)")
}

#[cfg(test)]
mod tests {
    use agentd_schemas::launch::{Stream, Usage};

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

    #[test]
    fn who_failed_with_its_memory_nearly_used_up_is_told_the_bound() {
        let outcome = |code: i32, peak: u64| -> Outcome {
            let told = serde_json::json!({
                "version": 1, "run": "w-aaaaaaaaaaaaaaaa.1", "at": "2026-11-22T08:00:00Z",
                "usage": Usage { peak_bytes: peak, ..Usage::default() }, "ending": { "exited": code }, "stopped": null,
                "stdout": Stream::default(), "stderr": Stream::default(),
            });
            serde_json::from_value(told).unwrap()
        };
        let most = 64 << 20;
        assert!(near_its_memory(&outcome(1, 60 << 20), most).contains("(64M, resources.memory_max)"));
        assert!(near_its_memory(&outcome(0, 60 << 20), most).is_empty(), "it went well");
        assert!(near_its_memory(&outcome(1, 20 << 20), most).is_empty(), "it had room");
        let killed = Outcome { oom_killed: true, ..outcome(1, 60 << 20) };
        assert!(near_its_memory(&killed, most).is_empty(), "that is said already");
    }

    #[test]
    fn a_step_that_was_not_let_end_says_nothing_of_what_it_looked_at() {
        let outcome = |ending: &str, stopped: &str| -> Outcome {
            let told = serde_json::json!({
                "version": 1, "run": "w-aaaaaaaaaaaaaaaa.1", "at": "2026-11-22T08:00:00Z", "usage": Usage::default(),
                "ending": serde_json::from_str::<serde_json::Value>(ending).unwrap(),
                "stopped": serde_json::from_str::<serde_json::Value>(stopped).unwrap(),
                "stdout": Stream::default(), "stderr": Stream::default(),
            });
            serde_json::from_value(told).unwrap()
        };
        let (never, unknown) = (Some(FailureReason::NotStarted), Some(FailureReason::OutcomeUnknown));
        let table = [
            (r#"{"exited":0}"#, "null", None),
            (r#"{"exited":1}"#, "null", None),
            (r#"{"signalled":9}"#, "null", None),
            (r#"{"signalled":9}"#, r#""timeout""#, None),
            (r#"{"signalled":15}"#, r#""shutdown""#, unknown),
            (r#"{"exited":0}"#, r#""shutdown""#, unknown),
            (r#"{"lost":"the shim failed"}"#, "null", unknown),
            (r#"{"not_started":"no bubblewrap"}"#, "null", never),
        ];
        for (ending, stopped, expected) in table {
            assert_eq!(of_the_host(&outcome(ending, stopped)), expected, "{ending} {stopped}");
        }
    }
}
