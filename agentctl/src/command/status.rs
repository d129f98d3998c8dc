//! `agentctl status`

use std::collections::BTreeMap;

use agentd_schemas::document::request::Scope;
use agentd_schemas::view::host::Moneys;
use agentd_schemas::view::{RunsView, StatusView, WaitingForPerson};
use serde::Serialize;

use crate::ambient;
use crate::command::work::why;
use crate::context::{Context, read};
use crate::error::Failure;
use crate::output::{Cell, Colour, Details, Output, Table, bytes, count, elapsed, plain, span_ms};
use crate::story;

/// Questions that are repeated in full, at most.
const MAX_QUESTIONS: usize = 10;

/// Show the host: daemon, agents, works, money today, what waits for a person
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl status\n  agentctl status --check || echo 'agentd wants attention'\n\n\
                  With --check the exit codes are those of monitoring plugins: 0 well, 1 a warning, 2 critical, 3 unknown")]
pub(crate) struct Args {
    /// For monitoring: one line, exit 0 when well, 1 for a warning, 2 when critical, 3 when agentd is unreachable
    #[arg(long)]
    check: bool,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        if self.check {
            let asked = match asked(context).await {
                Err(failure) if context.is_asked_again(&failure) => return Err(failure),
                asked => asked,
            };
            let checked = Checked::of(asked);
            context.out.show(&checked, &[checked.status.to_owned()], |out| {
                out.line(format!("{}: {}", checked.status.to_uppercase(), plain(&checked.told.join("; "))))
            })?;
            return if checked.exit == 0 { Ok(()) } else { Err(Failure::silent(checked.exit)) };
        }
        let status = asked(context).await?;
        let wrong = wrong(&status);
        let door = context.reached().await?.door.to_string();
        context.out.show(&status, &[], |out| words(out, &status, &door, &wrong))?;
        questions(context, &status.waiting).await
    }
}

async fn asked(context: &Context) -> Result<StatusView, Failure> {
    read(&context.host().await?.status().await?)
}

/// What monitoring is told, in the words and exit codes of monitoring plugins.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Checked {
    status: &'static str,
    exit: u8,
    /// What is wrong, the worst first; or who is well.
    told: Vec<String>,
}

impl Checked {
    fn of(asked: Result<StatusView, Failure>) -> Self {
        let status = match asked {
            Ok(status) => status,
            Err(failure) => return Self { status: "unknown", exit: 3, told: vec![failure.message().to_owned()] },
        };
        let mut told = status.critical.clone();
        told.extend(wrong(&status).into_iter().filter(|word| !status.critical.contains(word)));
        if status.frozen.contains(&Scope::All) {
            told.push("the whole host is frozen".to_owned());
        }
        match (status.critical.is_empty(), told.is_empty()) {
            (false, _) => Self { status: "critical", exit: 2, told },
            (true, false) => Self { status: "warning", exit: 1, told },
            (true, true) => Self { status: "ok", exit: 0, told: vec![format!("agentd {}", status.version)] },
        }
    }
}

/// What is not as it should be.
fn wrong(status: &StatusView) -> Vec<String> {
    status.health.iter().filter(|word| *word != "ok").cloned().collect()
}

fn words(out: &Output, status: &StatusView, door: &str, wrong: &[String]) -> Result<(), Failure> {
    let now = ambient::now();
    let mut details = Details::new();
    let health = if wrong.is_empty() { out.state("ok") } else { out.paint(Colour::Red, &plain(&wrong.join("; "))) };
    let since = format!("{} ({})", out.time(status.since), elapsed(status.since, now));
    details.add("agentd", format!("{} ({}), by {door}, since {since}", status.version, status.mode));
    details.painted("health", health);
    details.add("host", &status.trust_domain);
    details.add(
        "ledger",
        format!("{} as incarnation {}, {}", count(status.events, "event"), status.incarnation, status.origin),
    );
    let disk = format!("{} % of the disk free", status.disk_free_percent);
    details.add(
        "uses",
        format!("{} memory, {} database, {disk}", bytes(status.memory_bytes), bytes(status.database_bytes)),
    );
    details.add("agents", counts(&status.agents)).add("works", counts(&status.works));
    details.maybe("runs", runs(&status.runs));
    details.add("today", today(&status.today));
    details.list("frozen", status.frozen.iter().map(story::scope));
    if status.denials.denied + status.denials.unauthenticated > 0 {
        let denials = &status.denials;
        details.add("refused", format!("{} denied, {} not proved", denials.denied, denials.unauthenticated));
    }
    details.write(out)?;
    waiting(out, &status.waiting)?;
    if let Some(by_ms) = status.clock_held_ms {
        out.note(format!("the wall clock jumped by {}; what it triggers is held", span_ms(by_ms.unsigned_abs())));
        out.hint("agentctl clock accept --reason 'looked at the clock'");
    }
    Ok(())
}

/// Runs that are under way, and how many there may be; nothing where there is none.
fn runs(runs: &RunsView) -> Option<String> {
    let parts = [(runs.preparing, "preparing"), (runs.running, "running"), (runs.judging, "judging")];
    let parts: Vec<String> =
        parts.into_iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect();
    (!parts.is_empty()).then(|| format!("{} of at most {}", parts.join(", "), runs.max))
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> = counts.iter().map(|(state, number)| format!("{number} {state}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// Money of a time, with what it rests on; calls without a price are said.
pub(crate) fn today(money: &Moneys) -> String {
    let mut text = format!("{}, {}", money.spent, count(money.tokens, "token"));
    let sources: Vec<String> =
        money.by_source.iter().map(|(source, amount)| format!("{amount} {}", story::source(*source))).collect();
    if !sources.is_empty() {
        text.push_str(&format!(" ({})", sources.join(", ")));
    }
    if money.unpriced_calls > 0 {
        text.push_str(&format!(", {} unpriced", count(money.unpriced_calls, "call")));
    }
    text
}

/// What runs asked that wait for an answer, each in its words.
pub(crate) async fn questions(context: &Context, waiting: &[WaitingForPerson]) -> Result<(), Failure> {
    if !context.out.is_human() {
        return Ok(());
    }
    for item in waiting.iter().filter(|item| item.what == "answer").take(MAX_QUESTIONS) {
        // It may have been answered meanwhile.
        if let Some(question) = why::asked(context, &item.work.to_string()).await? {
            context.out.section(&format!("{} asks", plain(&item.short)), &question)?;
        }
    }
    Ok(())
}

/// What waits for a person, with the command for each.
pub(crate) fn waiting(out: &Output, waiting: &[WaitingForPerson]) -> Result<(), Failure> {
    if waiting.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["WAITS FOR YOU", "TO", "SINCE", "~COMMAND"]);
    for item in waiting {
        table.row([
            Cell::new(&item.short),
            Cell::new(&item.what),
            Cell::time(out, item.since),
            Cell::new(&item.command),
        ]);
    }
    out.line("")?;
    out.table(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(health: &[&str], critical: &[&str], frozen: &[&str]) -> (&'static str, u8, String) {
        let status = serde_json::json!({
            "version": "1.2", "since": "2026-11-22T08:00:00Z", "trust_domain": "t", "origin": "o", "incarnation": 1,
            "events": 1, "mode": "private", "health": health, "critical": critical, "works": {}, "agents": {},
            "memory_bytes": 1, "database_bytes": 1, "disk_free_percent": 50, "waiting": [], "frozen": frozen,
            "today": { "spent": "0 USD", "tokens": 0, "unpriced_calls": 0, "by_source": [] },
            "denials": { "denied": 0, "unauthenticated": 0 },
        });
        let Checked { status, exit, told } = Checked::of(Ok(serde_json::from_value(status).unwrap()));
        (status, exit, told.join("; "))
    }

    #[test]
    fn monitoring_is_told_the_worst_with_the_codes_that_it_knows() {
        for (health, critical, frozen, expected) in [
            (&["ok"][..], &[][..], &[][..], ("ok", 0, "agentd 1.2")),
            (&["agent a was paused"], &[], &[], ("warning", 1, "agent a was paused")),
            (&["ok"], &[], &["all"], ("warning", 1, "the whole host is frozen")),
            (&["paused", "disk"], &["disk"], &[], ("critical", 2, "disk; paused")),
        ] {
            let (status, exit, told) = checked(health, critical, frozen);
            assert_eq!((status, exit, told.as_str()), expected);
        }
        let Checked { status, exit, told } = Checked::of(Err(Failure::unreachable("cannot reach agentd")));
        assert_eq!((status, exit, told.join("")), ("unknown", 3, "cannot reach agentd".to_owned()));
    }
}
