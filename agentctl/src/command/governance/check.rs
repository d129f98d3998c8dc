//! `agentctl governance check`

use agentd_schemas::governance::{Answer, Verdict, examples};
use agentd_schemas::strict::toml;
use serde::Serialize;

use super::{FILE, changes, demand, rules, written};
use crate::context::Context;
use crate::error::Failure;
use crate::input;
use crate::output::{Cell, Table};

/// Read rules and try their examples
///
/// Rules that no work could follow are refused with their line: stages that wait for each other, duties that are the same
/// and separate, a stage that there is not. An example that is answered otherwise than it expects is an error (exit code 1).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl governance check\n  agentctl governance check governance.toml --json")]
pub(crate) struct Args {
    /// The rules, - for stdin
    #[arg(default_value = FILE, value_hint = clap::ValueHint::FilePath)]
    file: String,
}

/// One example, as programs read it.
#[derive(Serialize)]
struct Row<'a> {
    example: &'a str,
    labels: String,
    expected: String,
    answer: String,
    holds: bool,
}

impl Args {
    /// Runs the command.
    #[allow(clippy::unused_async, reason = "every command has this form")]
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (document, bytes) = rules(&self.file)?;
        let verdicts = examples(&document);
        let rows: Vec<Row<'_>> = verdicts.iter().map(row).collect();
        let names: Vec<String> = rows.iter().map(|row| row.example.to_owned()).collect();
        context.out.show(&rows, &names, |out| {
            let mut table = Table::new(["~EXAMPLE", "~LABELS", "HOLDS", "~ANSWER"]);
            for row in &rows {
                let holds = Cell::new(if row.holds { "yes" } else { "no" });
                table.row([Cell::new(row.example), Cell::new(&row.labels), holds, Cell::new(&row.answer)]);
            }
            if table.is_empty() {
                out.hint("agentctl explain governance.example: what shows that the rules mean what you mean");
            } else {
                out.table(&table)?;
            }
            Ok(())
        })?;
        let wrong: Vec<usize> = (0..verdicts.len()).filter(|at| !verdicts[*at].holds).collect();
        let Some(first) = wrong.first() else {
            context.out.note(format!("{} rules, {} examples hold", document.rules.len(), verdicts.len()));
            return Ok(());
        };
        // What was read as rules is UTF-8.
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        Err(failed(input::shown(&self.file), text, *first, &verdicts[*first], wrong.len()))
    }
}

fn row<'a>(verdict: &'a Verdict<'_>) -> Row<'a> {
    let example = verdict.example;
    let (labels, expected) = (written(&example.labels), expected(verdict));
    Row { example: example.name.as_str(), labels, expected, answer: answered(&verdict.answer), holds: verdict.holds }
}

fn expected(verdict: &Verdict<'_>) -> String {
    match (&verdict.example.path, &verdict.example.unmet) {
        (Some(path), _) => {
            let stages = path.iter().map(|(stage, who)| {
                let who: Vec<&str> = who.iter().map(agentd_schemas::unit::name::Slug::as_str).collect();
                format!("{stage}: {}", who.join(" "))
            });
            stages.collect::<Vec<_>>().join(", ")
        }
        (None, Some(rule)) => format!("unmet: {rule}"),
        (None, None) => String::new(),
    }
}

/// An answer in one line.
fn answered(answer: &Answer) -> String {
    match answer {
        Answer::Path(path) if path.stages.is_empty() => "no rule is for it".to_owned(),
        Answer::Path(path) => {
            let stages = path.stages.iter().map(|step| {
                let who: Vec<&str> = step.who.iter().map(|pick| pick.name.as_str()).collect();
                format!("{}: {}", step.stage, who.join(" "))
            });
            stages.collect::<Vec<_>>().join(", ")
        }
        Answer::Unmet(unmet) if unmet.demands.is_empty() => "unmet: nobody is there".to_owned(),
        Answer::Unmet(unmet) => {
            format!("unmet: {}", unmet.demands.iter().map(demand).collect::<Vec<_>>().join(", "))
        }
        Answer::Contradiction(contradiction) => contradiction.to_string(),
        Answer::TooHard => "too hard".to_owned(),
    }
}

fn failed(file: &str, text: &str, at: usize, verdict: &Verdict<'_>, wrong: usize) -> Failure {
    let example = verdict.example;
    let field = if example.path.is_some() { "path" } else { "unmet" };
    let place = toml::refusal(text, &["example", &at.to_string(), field], "", "");
    let line = place.line().map_or_else(String::new, |line| format!(":{line}"));
    let more = if wrong > 1 { format!(", and {} more examples do not hold", wrong - 1) } else { String::new() };
    let expects = expected(verdict);
    let expects = if expects.is_empty() { "no stage".to_owned() } else { expects };
    let message = format!(
        "{file}{line}: example {} expects {expects}; the rules say {}{more}",
        example.name,
        answered(&verdict.answer)
    );
    let failure = Failure::rules("example_does_not_hold", message).detail("example", example.name.as_str());
    let why = format!("agentctl governance path --file {} --example {}", crate::output::shell_word(file), example.name);
    match &verdict.answer {
        Answer::Unmet(unmet) => changes(unmet).iter().fold(failure.hint(why), |failure, way| failure.hint_too(way)),
        _ => failure.hint(why),
    }
}
