//! `agentctl slo set`

use agentd_schemas::document::{Indicator, ObjectiveDocument};
use agentd_schemas::unit::duration::Span;
use agentd_schemas::unit::name::{LabelKey, LabelValue, Slug};

use crate::command::submit::flags;
use crate::command::{self, word};
use crate::context::{Context, document};
use crate::error::Failure;
use crate::input;

/// Bytes of an objective, at most.
const MAX_DOCUMENT_BYTES: usize = 64 << 10;

/// Set an objective for a class of work
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl slo set payments --target 99.5 --window 28d --label team=payments\n  \
    agentctl slo set quick-start --target 95 --window 7d --indicator start_within")]
pub(crate) struct Args {
    /// Its name: a-z 0-9 . _ -, at most 64
    #[arg(required_unless_present = "file")]
    name: Option<Slug>,
    /// Share of good works in percent, with up to three decimals
    #[arg(long, value_name = "PERCENT", required_unless_present = "file")]
    target: Option<String>,
    /// Days that count, as in 28d
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, required_unless_present = "file", value_parser = command::span)]
    window: Option<Span>,
    /// What makes a work good
    #[arg(long, value_name = "WHAT", value_parser = word::<Indicator>(&["success", "start_within", "finish_within"]))]
    indicator: Option<Indicator>,
    /// Only works that carry this label count; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = command::label)]
    labels: Vec<(LabelKey, LabelValue)>,
    /// Read the objective from this file (TOML or JSON), - for stdin
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["name", "target", "window", "indicator", "labels"])]
    file: Option<String>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let objective: ObjectiveDocument = match (self.file, self.name, self.target, self.window) {
            (Some(file), ..) => input::document(&file, MAX_DOCUMENT_BYTES)?,
            (None, Some(name), Some(target_percent), Some(window)) => {
                let (labels, indicator) = (flags::labels(self.labels)?, self.indicator.unwrap_or_default());
                ObjectiveDocument { name, labels, indicator, target_percent, window }
            }
            _ => return Err(Failure::usage("an objective needs a name, --target and --window")),
        };
        context.objectives().await?.set(&document(&objective)?).await?;
        context.out.done("objective", objective.name.as_str(), &format!("objective {} is set", objective.name))
    }
}
