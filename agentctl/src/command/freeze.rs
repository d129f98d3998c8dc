//! `agentctl freeze`

use std::time::Duration;

use agentd_schemas::unit::duration::Span;
use agentd_schemas::view::FreezeReport;

use crate::command;
use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::output::{count, plain};
use crate::presence::govern;
use crate::scope::Target;
use crate::story;

/// Between two looks at how a freeze stands.
const LOOK: Duration = Duration::from_millis(250);
/// A wait that is longer is told.
const TELL_AFTER: Duration = Duration::from_secs(2);

/// Stop starts, schedules and running work; nothing is lost, and a reboot changes nothing
///
/// The freeze proves itself: it is done when every run has said that it stands still. Runs that have not are listed,
/// and the exit code is 1.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  agentctl freeze --all --reason 'something is wrong with the provider'\n  agentctl freeze fixer --reason 'its answers look odd'"
)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Why; kept in the log
    #[arg(long, short, value_name = "TEXT", value_parser = command::reason)]
    reason: String,
    /// How long to wait for the runs
    #[arg(long, value_name = "TIME", default_value = "45s")]
    timeout: Span,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let scope = self.target.scope(context).await?;
        let text = document(&scope)?;
        let host = context.host().await?;
        let mut report: FreezeReport =
            read(&govern::<_, String>(host.inner(), "Freeze", &(&text, &self.reason)).await?)?;
        // What is frozen stays frozen, whatever becomes of this wait.
        let begun = tokio::time::Instant::now();
        let deadline = begun + Duration::from(self.timeout);
        let mut is_told = false;
        while (report.confirmed < report.runs || !report.ending.is_empty()) && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
            if !is_told && begun.elapsed() > TELL_AFTER {
                is_told = true;
                let left = report.runs - report.confirmed + report.ending.len() as u64;
                context.out.note(format!("frozen; {} did not say yet that nothing of it goes on", count(left, "run")));
            }
            report = read(&host.freeze_report(&text).await?)?;
        }
        let what = story::scope(&scope);
        context.out.show(&report, &report.unconfirmed, |out| {
            out.line(match report.runs {
                0 => format!("frozen: {what}, nothing was running"),
                runs => format!("frozen {} of {} (verified): {what}", report.confirmed, count(runs, "run")),
            })?;
            for run in &report.ending {
                out.line(format!("ending: {}: it is over, and its agent has not heard of it", plain(run)))?;
            }
            Ok(())
        })?;
        let all = if what == "everything" {
            "--all".to_owned()
        } else {
            what.rsplit(' ').next().unwrap_or_default().to_owned()
        };
        if report.confirmed >= report.runs {
            context.out.hint(format!("agentctl thaw {all}"));
            return Ok(());
        }
        let missing: Vec<String> = report.unconfirmed.iter().map(|run| plain(run)).collect();
        Err(Failure::local(format!(
            "{} did not confirm: {}",
            count(report.runs - report.confirmed, "run"),
            missing.join(", ")
        ))
        .hint("they get no lease from now on; the freeze stays: agentctl freeze again to see how it stands"))
    }
}
