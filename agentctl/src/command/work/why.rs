//! `agentctl work why` and `agentctl why`

use agentd_schemas::view::work::AgentVerdict;
use agentd_schemas::view::{WhyView, WorkView};

use crate::context::{Context, read};
use crate::error::Failure;
use crate::latest;
use crate::output::{Cell, Output, Table, plain};
use crate::story;

/// Agents that are shown, at most.
const MAX_AGENTS: usize = 10;

/// Say why a work runs there, or does not run
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl why @")]
pub(crate) struct Args {
    /// The work: an id, a unique prefix of one, or @
    work: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let work = latest::named(context, &self.work).await?;
        let why: WhyView = read(&context.works().await?.why(&work).await?)?;
        let question = match why.state.as_str() {
            "waiting" if context.out.is_human() => asked(context, &why.id.to_string()).await?,
            _ => None,
        };
        context.out.show(&why, &[why.id.to_string()], |out| words(out, &why, question.as_deref()))?;
        if let Some(hint) = &why.hint {
            context.out.hint(hint);
        }
        Ok(())
    }
}

/// What the run of a work asks, where it waits for a person.
pub(crate) async fn asked(context: &Context, work: &str) -> Result<Option<String>, Failure> {
    let view: WorkView = read(&context.works().await?.show(work).await?)?;
    Ok(story::question(&view).map(str::to_owned))
}

fn words(out: &Output, why: &WhyView, question: Option<&str>) -> Result<(), Failure> {
    out.line(format!("{} is {}: {}", why.id, out.state(&plain(&why.state)), plain(&out.local(&why.summary))))?;
    for reason in &why.reasons {
        out.line(format!("  - {}", plain(&out.local(reason))))?;
    }
    if let Some(question) = question {
        out.section("It asks", question)?;
    }
    // Who might have taken a work that is over, or that a person looks at, helps nobody any more.
    if why.agents.is_empty() || super::show::is_past(&why.state) || why.state == "verifying" {
        return Ok(());
    }
    let mut agents: Vec<&AgentVerdict> = why.agents.iter().collect();
    agents.sort_by_key(|verdict| distance(verdict));
    let mut table = Table::new(["~AGENT", "MAY TAKE IT", "~BECAUSE"]);
    for verdict in agents.iter().take(MAX_AGENTS) {
        let may = if verdict.eligible { "yes" } else { "no" };
        table.row([Cell::new(&verdict.agent), Cell::new(may), Cell::new(&verdict.because)]);
    }
    out.line("")?;
    out.table(&table)?;
    match agents.len().saturating_sub(MAX_AGENTS) {
        0 => Ok(()),
        more => out.line(format!("and {more} more (--json lists all)")),
    }
}

/// How far an agent is from taking the work: able, in the way of something that passes, or not made for it.
fn distance(verdict: &AgentVerdict) -> u8 {
    let is_other = verdict.because.contains("lacks the skill") || verdict.because.contains(" alone");
    match (verdict.eligible, is_other) {
        (true, _) => 0,
        (false, false) => 1,
        (false, true) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Style;
    use crate::output::tests::written;

    fn why(state: &str) -> WhyView {
        let verdict = |n: u32| {
            let because = if n == 15 { "matched by claim" } else { "it lacks the skill py" };
            AgentVerdict { agent: format!("a{n}").parse().unwrap(), eligible: n == 15, because: because.to_owned() }
        };
        let summary = "it is not handed out before 2026-12-01T22:00:00.000Z".to_owned();
        let (id, state) = ("w-aaaaaaaaaaaaaaaa".parse().unwrap(), state.to_owned());
        WhyView { id, state, summary, reasons: Vec::new(), agents: (0..20).map(verdict).collect(), hint: None }
    }

    #[test]
    fn agents_that_matter_come_first_and_the_rest_is_counted() {
        let text = written(Style::default(), None, |out| words(out, &why("ready"), None).unwrap());
        assert!(text.contains("before 2026-12-01 22:00:00 UTC\n"), "{text}");
        let rows: Vec<&str> = text.lines().skip(3).collect();
        assert!(rows[0].starts_with("a15    yes"), "{text}");
        assert_eq!((rows.len(), rows[10]), (11, "and 10 more (--json lists all)"));
    }

    #[test]
    fn nobody_could_take_a_work_that_is_over_or_waits_for_a_person() {
        for state in ["completed", "verifying"] {
            let text = written(Style::default(), None, |out| words(out, &why(state), None).unwrap());
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }
}
