//! `agentctl work why` and `agentctl why`

use agentd_schemas::view::{WhyView, WorkView};

use crate::context::{Context, read};
use crate::error::Failure;
use crate::latest;
use crate::output::{Cell, Output, Table, plain};
use crate::story;

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
        let work = latest::named(&self.work)?;
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
    out.line(format!("{} is {}: {}", why.id, out.state(&plain(&why.state)), plain(&why.summary)))?;
    for reason in &why.reasons {
        out.line(format!("  - {}", plain(reason)))?;
    }
    if let Some(question) = question {
        out.section("It asks", question)?;
    }
    if why.agents.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["~AGENT", "MAY TAKE IT", "~BECAUSE"]);
    for verdict in &why.agents {
        let may = if verdict.eligible { "yes" } else { "no" };
        table.row([Cell::new(&verdict.agent), Cell::new(may), Cell::new(&verdict.because)]);
    }
    out.line("")?;
    out.table(&table)
}
