//! `agentctl schedule next`

use agentd_schemas::unit::time::WallMs;

use crate::context::{Context, read};
use crate::error::Failure;

/// Ticks that can be asked for at once.
const MAX_TICKS: i64 = 1000;

/// Show the next ticks of a schedule
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl schedule next nightly -n 3")]
pub(crate) struct Args {
    /// The schedule: its name, or a unique prefix of its id
    schedule: String,
    /// How many, at most 1000
    #[arg(short = 'n', long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=MAX_TICKS))]
    count: u32,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let ticks: Vec<WallMs> = read(&context.schedules().await?.next(&self.schedule, self.count).await?)?;
        let texts: Vec<String> = ticks.iter().map(WallMs::to_string).collect();
        context.out.show(&ticks, &texts, |out| ticks.iter().try_for_each(|tick| out.line(out.time(*tick))))?;
        if ticks.is_empty() {
            context.out.note("no ticks to come");
        }
        Ok(())
    }
}
