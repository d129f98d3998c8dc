//! A daemon that stops, or is started anew, cuts calls off in their middle. A command that only looks is then run once more, and
//! the next daemon answers it.
//!
//! What changes something is not: the daemon may have done it. `submit` asks again by itself, under the same key.

use std::ffi::OsString;
use std::time::Duration;

use clap::Parser as _;

use crate::cli::{Cli, definition};
use crate::command::Command;
use crate::context::Context;
use crate::error::Failure;

/// How long the next daemon is waited for.
const NEXT: Duration = Duration::from_secs(10);
/// Between two looks whether it is there.
const LOOK: Duration = Duration::from_millis(100);

/// Commands that change nothing, neither there nor here, by their words.
const LOOKS: &[&str] = &[
    "status",
    "doctor",
    "log",
    "why",
    "history",
    "digest",
    "cost",
    "work list",
    "work show",
    "work log",
    "work why",
    "work diff",
    "work output",
    "agent list",
    "agent show",
    "agent history",
    "agent signers",
    "model history",
    "schedule list",
    "schedule show",
    "schedule next",
    "slo",
    "slo list",
    "budget show",
    "config diff",
    "ledger log",
    "ledger show",
    "__complete",
];

/// Runs the command of these arguments, and once more where that is safe and helps: nothing of it was printed.
pub(crate) async fn run(command: Command, arguments: &[OsString], context: &mut Context) -> Result<(), Failure> {
    let first = match command.run(context).await {
        Err(failure) if !failure.is_cut() || context.out.has_written() => return Err(failure),
        Err(failure) if only_looks(arguments) => failure,
        Err(failure) => return Err(doubtful(failure)),
        done => return done,
    };
    let Ok(again) = Cli::try_parse_from(arguments) else { return Err(first) };
    let too = format!("it was asked twice: the first time {}", first.message());
    context.afresh();
    let next = async {
        while context.reached().await.is_err() {
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(NEXT, next).await.is_err() {
        return Err(first.hint_too("nobody took its place within 10 seconds: systemctl status agentd"));
    }
    again.command.run(context).await.map_err(|failure| if failure.is_cut() { failure.hint_too(&too) } else { failure })
}

/// What changes something may have been done, or not.
fn doubtful(failure: Failure) -> Failure {
    let is_said = failure.hinted().is_some_and(|hint| hint.contains("is not known"));
    if !failure.is_broken() || is_said {
        return failure;
    }
    failure.hint_too("whether it was done is not known: look before you call it again")
}

fn only_looks(arguments: &[OsString]) -> bool {
    let Ok(matches) = definition().try_get_matches_from(arguments) else { return false };
    let (mut words, mut at) = (Vec::new(), &matches);
    while let Some((word, below)) = at.subcommand() {
        words.push(word);
        at = below;
    }
    LOOKS.contains(&words.join(" ").as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(line: &str) -> bool {
        let arguments: Vec<OsString> = std::iter::once("agentctl").chain(line.split(' ')).map(OsString::from).collect();
        assert!(Cli::try_parse_from(&arguments).is_ok(), "{line}");
        only_looks(&arguments)
    }

    #[test]
    fn what_only_looks_is_known_by_its_words_whatever_stands_between_them() {
        for line in ["status", "--json status --check", "work show @", "work list --json", "slo", "ledger log -n 3"] {
            assert!(looks(line), "{line}");
        }
        for line in [
            "submit x",
            "cancel @ --reason x",
            "agent skills a --set b",
            "ledger checkpoint",
            "ledger export /tmp/x",
            "freeze --all --reason x",
            "config apply",
            "work apply @",
        ] {
            assert!(!looks(line), "{line}");
        }
    }

    #[test]
    fn every_command_that_only_looks_exists() {
        for line in LOOKS {
            let mut at = definition();
            for word in line.split(' ') {
                let found = at.find_subcommand(word).cloned();
                at = found.unwrap_or_else(|| panic!("{line}"));
            }
        }
    }
}
