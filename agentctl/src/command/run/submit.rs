//! `agentctl run submit`

use agentd_schemas::document::work::{MAX_BULK_BYTES, MAX_BULK_ITEMS};
use agentd_schemas::http::run::RunChildren;
use agentd_schemas::view::SubmittedView;

use super::own::{OwnRun, key};
use crate::command::submit::flags::WorkFlags;
use crate::context::Context;
use crate::error::Failure;
use crate::input;
use crate::output::plain;

/// Submit work as a part of this one; what it spends is charged to this work too
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  agentctl run submit 'Count the north field' --skill counting\n  agentctl run submit --file parts.jsonl --key parts"
)]
pub(crate) struct Args {
    /// What is to be done
    #[arg(value_name = "TEXT", conflicts_with = "file")]
    text: Option<String>,
    /// Read the work or works from this file, - for stdin: TOML, JSON or JSON Lines
    #[arg(long, short, value_name = "FILE", conflicts_with = "WorkFlags")]
    file: Option<String>,
    #[command(flatten)]
    work: WorkFlags,
    /// Idempotency key of this work: the same key with the same works submits nothing new, by the next attempt too
    #[arg(long)]
    key: Option<String>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let run = OwnRun::here()?;
        let works = match &self.file {
            Some(file) => input::documents(file, MAX_BULK_BYTES, MAX_BULK_ITEMS)?,
            None => vec![self.work.document(context, self.text).await?],
        };
        let submitted: SubmittedView = run.post("children", &RunChildren { works, key: key(self.key)? }).await?;
        let ids: Vec<String> = submitted.works.iter().map(|work| work.id.to_string()).collect();
        context.out.show(&submitted, &ids, |out| {
            submitted.works.iter().try_for_each(|work| out.line(format!("{}  {}", work.id, plain(&work.state))))
        })
    }
}
