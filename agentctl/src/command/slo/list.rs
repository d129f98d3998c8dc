//! `agentctl slo` and `agentctl slo list`

use agentd_schemas::document::Indicator;
use agentd_schemas::view::ObjectiveView;

use crate::context::{Context, read};
use crate::error::Failure;
use crate::output::{Cell, Output, Table, days};

/// List objectives and how they stand
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl slo list --json")]
pub(crate) struct Args {}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let objectives: Vec<ObjectiveView> = read(&context.objectives().await?.list().await?)?;
        let names: Vec<String> = objectives.iter().map(|view| view.objective.name.to_string()).collect();
        context.out.show(&objectives, &names, |out| table(out, &objectives))
    }
}

fn table(out: &Output, objectives: &[ObjectiveView]) -> Result<(), Failure> {
    let mut table = Table::new([
        "~NAME",
        "~GOOD WHEN",
        ">TARGET",
        ">ATTAINED",
        ">GOOD",
        ">BAD",
        ">LEFT",
        ">BURN 1D",
        ">BURN 7D",
        "WINDOW",
        "~LABELS",
    ]);
    for view in objectives {
        let labels: Vec<String> = view.objective.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        table.row([
            Cell::new(&view.objective.name),
            Cell::new(indicator(view.indicator)),
            Cell::new(format!("{} %", view.objective.target_percent)),
            Cell::maybe(view.attainment_milli_percent.map(percent)),
            view.good.into(),
            view.bad.into(),
            Cell::new(format!("{} of {}", view.budget_left, view.budget)),
            Cell::maybe(view.burn_rate_day_percent.map(rate)),
            Cell::maybe(view.burn_rate_week_percent.map(rate)),
            Cell::new(days(view.objective.window)),
            Cell::new(labels.join(",")),
        ]);
    }
    if table.is_empty() {
        out.note("no objectives");
        out.hint("agentctl slo set NAME --target 99 --window 28d");
        return Ok(());
    }
    out.table(&table)
}

fn indicator(indicator: Indicator) -> &'static str {
    match indicator {
        Indicator::Success => "completed",
        Indicator::StartWithin => "started in time",
        Indicator::FinishWithin => "finished in time",
    }
}

/// Thousandths of a percent as a percentage with as many decimals as it needs.
fn percent(milli: u32) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A burn rate: 1.0 uses the budget up exactly.
fn rate(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_and_rates_have_two_decimals() {
        for (milli, text) in [(99_500, "99.5 %"), (100_000, "100 %"), (66_666, "66.666 %"), (0, "0 %"), (7, "0.007 %")]
        {
            assert_eq!(percent(milli), text);
        }
        assert_eq!((rate(100).as_str(), rate(1234).as_str(), rate(5).as_str()), ("1.00", "12.34", "0.05"));
    }
}
