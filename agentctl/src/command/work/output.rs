//! `agentctl work output`

use crate::context::{Context, document};
use crate::error::Failure;
use crate::follow::Follower;
use crate::latest;
use crate::program_output::{Stretch, Tail};

/// Print what the program of a run wrote
///
/// As it wrote it: to a file or a pipe byte for byte where it is UTF-8, to a terminal with controls made visible. With --json
/// each stretch is a document, and a program that wrote nothing has one without text.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl work output @ -f\n  agentctl work output @ --stderr --attempt 1")]
pub(crate) struct Args {
    /// The work: an id, a unique prefix of one, or @
    work: String,
    /// Of this attempt; of the newest without
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// What it wrote to standard error, instead of standard output
    #[arg(long)]
    stderr: bool,
    /// Go on until it has ended
    #[arg(long, short)]
    follow: bool,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let work = latest::work_id(context, &self.work).await?;
        let stream = if self.stderr { "stderr" } else { "stdout" };
        let mut tail = Tail::new(work, self.attempt.unwrap_or(0), stream);
        let mut follower = Follower::from_now(context).await?;
        loop {
            let works = follower.works().await?;
            let Stretch { view, text, ended } = match tail.next(&works).await {
                // It waits there until the daemon is back.
                Err(failure) if self.follow && failure.is_broken() => {
                    follower.more_within(Tail::LOOK).await?;
                    continue;
                }
                stretch => stretch?,
            };
            let is_done = text.is_empty() && (ended || !self.follow);
            if context.out.is_json() {
                // What was never written is told as well: by one document without text.
                if !text.is_empty() || is_done && !context.out.has_written() {
                    context.out.line(document(&view)?)?;
                }
                if is_done {
                    return Ok(());
                }
            }
            let shown = if context.out.width().is_some() { crate::output::plain_lines(&text) } else { text.clone() };
            if !context.out.is_json() {
                context.out.raw(shown.as_bytes())?;
            }
            if is_done {
                return Ok(());
            }
            if text.is_empty() {
                context.out.flush()?;
                follower.more_within(Tail::LOOK).await?;
            }
        }
    }
}
