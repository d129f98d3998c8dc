//! `agentctl schedule add`

use agentd_schemas::document::ScheduleDocument;
use agentd_schemas::document::schedule::{Missed, Overlap};
use agentd_schemas::unit::name::Slug;
use agentd_schemas::view::ScheduleView;

use crate::command::submit::flags::WorkFlags;
use crate::command::word;
use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::{ambient, input, owner};

/// Bytes of a schedule, at most.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 8 << 20;

/// Add a schedule: a cron expression and the work that each tick submits
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    agentctl schedule add nightly '30 2 * * mon-fri' 'Summarise what changed today' --skill triage --max-cost 1usd\n  \
    agentctl schedule add poll '@every 15min' 'Look at the inbox' --overlap skip\n  \
    agentctl schedule add --file nightly.toml")]
pub(crate) struct Args {
    /// Its name: a-z 0-9 . _ -, at most 64
    name: Option<Slug>,
    /// Five fields as in cron, @daily and such, or '@every 15min'
    #[arg(allow_hyphen_values = true)]
    cron: Option<String>,
    /// What the agent is asked to do
    text: Option<String>,
    /// Read the schedule from this file (TOML or JSON), - for stdin
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["name", "cron", "text", "WorkFlags", "time_zone", "missed", "overlap"])]
    file: Option<String>,
    /// IANA name of the zone, as Europe/Berlin; the host's by default
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Ticks that passed while nobody was there: gone, one work for all, or one each
    #[arg(long, value_name = "WHAT", value_parser = word::<Missed>(&["skip", "once", "all"]))]
    missed: Option<Missed>,
    /// A tick while the work before is not over: skipped, queued, or it replaces that work
    #[arg(long, value_name = "WHAT", value_parser = word::<Overlap>(&["skip", "queue", "replace"]))]
    overlap: Option<Overlap>,
    #[command(flatten)]
    work: WorkFlags,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let schedule = match &self.file {
            Some(file) => {
                let mut schedule: ScheduleDocument = input::document(file, MAX_DOCUMENT_BYTES)?;
                schedule.owner = schedule.owner.as_ref().map(owner::found).transpose()?;
                schedule
            }
            None => self.schedule(context).await?,
        };
        let key = data_encoding::HEXLOWER.encode(&ambient::random::<16>()?);
        let view: ScheduleView = read(&context.schedules().await?.add(&document(&schedule)?, &key).await?)?;
        context.out.show(&view, &[view.id.to_string()], |out| {
            let next =
                view.next.map_or_else(|| "no tick to come".to_owned(), |next| format!("next {}", out.time(next)));
            out.line(format!("{}  {}  {next}", view.id, view.name))
        })?;
        context.out.hint(format!("agentctl schedule next {}", view.name));
        Ok(())
    }

    async fn schedule(self, context: &Context) -> Result<ScheduleDocument, Failure> {
        let (Some(name), Some(cron)) = (self.name, self.cron) else {
            return Err(Failure::usage("a schedule needs a name and a cron expression")
                .hint("agentctl schedule add NAME '30 2 * * *' 'what is to be done'")
                .hint_too("agentctl schedule add --file schedule.toml"));
        };
        let work = self.work.document(context, self.text).await?;
        let (missed, overlap) = (self.missed.unwrap_or_default(), self.overlap.unwrap_or_default());
        Ok(ScheduleDocument { name, owner: None, cron, time_zone: self.time_zone, missed, overlap, work })
    }
}
