//! Runs that agentd starts, in words: what holds a program, how it ended, what it used, what judged it.

use agentd_schemas::document::Runtime;
use agentd_schemas::event::{
    BaseJudged, CommandEvidence, CommitRef, ProgramExited, RunConfinement, RunEnded, Verdict, WaitReason,
};
use agentd_schemas::launch::{Ending, StopCause, Usage};

use super::spaced;
use crate::output::{bytes, count, shell_word, span_ms};

/// `strict, uid 1000, with control groups; 2 things are not held`.
pub(crate) fn confinement(held: &RunConfinement) -> String {
    let groups = if held.control_group { "with control groups" } else { "without control groups" };
    let lacking = match held.lacking.len() {
        0 => String::new(),
        1 => "; 1 thing is not held".to_owned(),
        many => format!("; {many} things are not held"),
    };
    format!("{}, uid {}, {groups}{lacking}", held.level.as_str(), held.uid)
}

/// How a program ended.
pub(crate) fn ending(ending: &Ending, stopped: Option<StopCause>) -> String {
    let how = match ending {
        Ending::Exited(code) => format!("exit code {code}"),
        Ending::Signalled(signal) => format!("signal {signal}"),
        Ending::NotStarted(why) => format!("not started: {why}"),
        Ending::Lost(why) => format!("its end is not known: {why}"),
    };
    match stopped {
        Some(cause) => format!("{how}, stopped: {}", spaced(cause.as_str())),
        None => how,
    }
}

/// `2s, 1s of processor, 40.0 MiB`.
pub(crate) fn usage(usage: &Usage) -> String {
    let processor = usage.user_us.saturating_add(usage.system_us) / 1000;
    let mut text =
        format!("{}, {} of processor, {}", span_ms(usage.wall_ms), span_ms(processor), bytes(usage.peak_bytes));
    if usage.read_bytes + usage.written_bytes > 0 {
        text.push_str(&format!(", read {}, wrote {}", bytes(usage.read_bytes), bytes(usage.written_bytes)));
    }
    text
}

/// The end of a run's program.
pub(super) fn ended(event: &RunEnded) -> String {
    let oom = if event.oom_killed { ", out of memory: the kernel killed a process of it" } else { "" };
    format!("program ended: {}{oom} ({})", ending(&event.ending, event.stopped), usage(&event.usage))
}

/// The end of a program whose run waits, and what happens then.
pub(super) fn exited(event: &ProgramExited) -> String {
    let (open, then) = match &event.waiting {
        WaitReason::Person => ("with its question open", "once there is an answer"),
        WaitReason::Budget { .. } => ("while it waits for budget", "once there is some"),
    };
    let next = if event.handed_in { "its result is judged" } else { "it is started again" };
    format!("program ended {open}: {}; {next} {then}", ending(&event.ending, None))
}

/// What a criterion said of the base: one that is met there judges nothing.
pub(crate) fn on_base(verdict: &Verdict) -> String {
    match verdict.met {
        Some(true) => {
            let kind = spaced(&verdict.kind);
            format!("criterion {} ({kind}) already passes without any change", verdict.criterion + 1)
        }
        _ => super::verdict(verdict),
    }
}

/// What the criteria said of the base.
pub(super) fn base_judged(event: &BaseJudged) -> String {
    let said: Vec<String> = event.verdicts.iter().filter(|verdict| verdict.met.is_some()).map(on_base).collect();
    if said.is_empty() {
        "no criterion was tried before any work".to_owned()
    } else {
        format!("before any work: {}", said.join(", "))
    }
}

/// The commit of a run: `; commit 1a2b3c4d5e6f on agentd/w-…/1`.
pub(super) fn commit(commit: Option<&CommitRef>) -> String {
    commit.map_or_else(String::new, |commit| format!("; commit {}", committed(commit)))
}

/// `1a2b3c4d5e6f on agentd/w-…/1`.
pub(crate) fn committed(commit: &CommitRef) -> String {
    format!("{} on {}", commit.id.get(..12).unwrap_or(&commit.id), commit.branch)
}

/// What a judgement rests on: ` (exit code 1, 2s; put back: tests/a.py)`.
pub(super) fn evidence(verdict: &Verdict) -> String {
    let Some(CommandEvidence { exit_code, wall_ms, protected_changed, .. }) = &verdict.evidence else {
        return String::new();
    };
    let code = exit_code.map_or_else(|| "it did not end by itself".to_owned(), |code| format!("exit code {code}"));
    let back = match protected_changed.len() {
        0 => String::new(),
        _ => format!("; protected paths that it changed, put back to judge it: {}", protected_changed.join(", ")),
    };
    format!(" ({code}, {}{back})", span_ms(*wall_ms))
}

/// What agentd starts for an agent: its command, as a shell would read it.
pub(crate) fn command(runtime: &Runtime) -> String {
    let words: Vec<String> = runtime.command.iter().map(|word| shell_word(word)).collect();
    words.join(" ")
}

/// A command with its files.
pub(super) fn program(runtime: &Runtime) -> String {
    let files = match runtime.files.len() {
        0 => String::new(),
        files => format!(" ({})", count(files as u64, "file")),
    };
    format!("{}{files}", command(runtime))
}

#[cfg(test)]
mod tests {
    use agentd_schemas::event::EventData;
    use agentd_schemas::launch::Level;

    use super::*;

    fn told(data: impl Into<EventData>) -> String {
        super::super::words(&data.into())
    }

    #[test]
    fn a_run_is_told_by_what_holds_it_and_how_it_ended() {
        let confinement = RunConfinement {
            level: Level::Strict,
            uid: 1000,
            landlock_abi: 6,
            control_group: true,
            lacking: vec!["x".to_owned()],
            spec_sha256: String::new(),
        };
        let started = agentd_schemas::event::RunStarted { confinement: Some(confinement) };
        assert_eq!(told(started), "started: strict, uid 1000, with control groups; 1 thing is not held");
        let usage =
            Usage { wall_ms: 2500, user_us: 900_000, system_us: 100_000, peak_bytes: 40 << 20, ..Usage::default() };
        let ended = RunEnded {
            oom_killed: false,
            ending: Ending::Signalled(9),
            stopped: Some(StopCause::LeaseLost),
            usage,
            stdout_bytes: 0,
            stderr_bytes: 0,
        };
        assert_eq!(told(ended), "program ended: signal 9, stopped: lease lost (2s, 1s of processor, 40.0 MiB)");
    }

    #[test]
    fn a_verdict_tells_what_it_rests_on() {
        let evidence = CommandEvidence {
            tree: String::new(),
            spec_sha256: String::new(),
            exit_code: Some(1),
            output_sha256: String::new(),
            wall_ms: 1200,
            protected_changed: vec!["tests/a.py".to_owned()],
        };
        let verdict = Verdict {
            criterion: 0,
            kind: "command".to_owned(),
            sha256: None,
            met: Some(false),
            evidence: Some(evidence),
        };
        let met = Verdict { criterion: 1, met: Some(true), evidence: None, ..verdict.clone() };
        let told_of_met = told(BaseJudged { verdicts: vec![met] });
        assert_eq!(told_of_met, "before any work: criterion 2 (command) already passes without any change");
        let base = BaseJudged { verdicts: vec![verdict] };
        assert_eq!(
            told(base),
            "before any work: criterion 1 (command) not met (exit code 1, 1s; protected paths that it changed, put back to judge it: tests/a.py)"
        );
    }
}
