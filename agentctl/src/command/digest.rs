//! `agentctl digest`

use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::{DigestView, WorkRow};

use super::{status, work};
use crate::context::{Context, read};
use crate::error::Failure;
use crate::moment;
use crate::output::{Colour, Details, Output, plain};

/// Say what was done, what failed, what waits, and what to type next
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl digest --since 7d")]
pub(crate) struct Args {
    /// From when on: 7d, today, yesterday, a date, or an RFC 3339 time
    #[arg(long, value_name = "TIME", default_value = "yesterday", value_parser = moment::back)]
    since: WallMs,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let digest: DigestView = read(&context.host().await?.digest(self.since.as_ms()).await?)?;
        let rows = digest.completed.iter().chain(&digest.failed);
        let ids: Vec<String> = rows.map(|row| row.id.to_string()).collect();
        context.out.show(&digest, &ids, |out| words(out, &digest))?;
        status::questions(context, &digest.waiting).await?;
        if context.out.is_human() {
            digest.next.iter().for_each(|command| context.out.hint(command));
        }
        Ok(())
    }
}

fn words(out: &Output, digest: &DigestView) -> Result<(), Failure> {
    let mut details = Details::new();
    details.add("from", out.time(digest.since)).add("to", out.time(digest.until));
    details.add("submitted", digest.submitted).add("completed", digest.completed_count);
    details.add("not completed", digest.failed_count).add("levels missed", digest.breaches);
    details.maybe("parked", (digest.parked > 0).then(|| format!("{} that no agent is able to take", digest.parked)));
    details.add("spent", status::today(&digest.money));
    details.maybe("per completed", digest.cost_per_completed);
    details.write(out)?;
    if !digest.attention.is_empty() {
        out.line("")?;
        out.line(out.paint(Colour::Bold, "Stands still until somebody does something"))?;
        digest.attention.iter().try_for_each(|line| out.line(plain(line)))?;
    }
    rows(out, "Completed", &digest.completed, digest.completed_count)?;
    rows(out, "Not completed", &digest.failed, digest.failed_count)?;
    status::waiting(out, &digest.waiting)
}

fn rows(out: &Output, heading: &str, rows: &[WorkRow], all: u64) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let more = all.saturating_sub(rows.len() as u64);
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    out.line("")?;
    out.line(out.paint(Colour::Bold, &format!("{heading}{more}")))?;
    work::list::table(out, rows)
}
