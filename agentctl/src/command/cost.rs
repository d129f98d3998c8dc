//! `agentctl cost`

use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::{CostFilter, CostRow};

use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::moment;
use crate::output::{Cell, Output, Table, bytes, money, span_ms};

/// Say what works cost: money, tokens, and what their programs used of the machine
///
/// Processor time, memory and storage are the kernel's own accounts of runs that agentd started; money and tokens are what
/// agents reported.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl cost --since 7d\n  agentctl cost --by agent\n  \
    agentctl cost --by label:team --since 2026-11-01")]
pub(crate) struct Args {
    /// Summed up by this: work, agent, owner, model, or label:KEY
    #[arg(long, value_name = "WHAT", default_value = "work", value_parser = by)]
    by: String,
    /// Runs claimed from then on: 7d, today, yesterday, a date, or an RFC 3339 time; all of them without
    #[arg(long, value_name = "TIME", value_parser = moment::back)]
    since: Option<WallMs>,
}

fn by(text: &str) -> Result<String, String> {
    let is_label = text.strip_prefix("label:").is_some_and(|key| !key.is_empty());
    if is_label || ["work", "agent", "owner", "model"].contains(&text) {
        return Ok(text.to_owned());
    }
    Err("write work, agent, owner, model, or label:KEY".to_owned())
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let filter = CostFilter { by: self.by.clone(), since_ms: self.since.map_or(0, WallMs::as_ms) };
        let rows: Vec<CostRow> = read(&context.works().await?.cost(&document(&filter)?).await?)?;
        let names: Vec<String> = rows.iter().map(|row| row.of.clone()).collect();
        context.out.show(&rows, &names, |out| table(out, &self.by, &rows))
    }
}

/// Characters of the ids that tell these works apart, with `w-`; as few as other lists have.
fn short(rows: &[CostRow]) -> usize {
    let mut ids: Vec<&str> = rows.iter().map(|row| row.of.as_str()).collect();
    ids.sort_unstable();
    let alike = |pair: &[&str]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
    ids.windows(2).map(alike).max().unwrap_or(0).max(5) + 1
}

fn table(out: &Output, by: &str, rows: &[CostRow]) -> Result<(), Failure> {
    let head = format!("~{}", by.strip_prefix("label:").unwrap_or(by).to_uppercase());
    let columns =
        [head.as_str(), ">RUNS", ">DONE", ">SPENT", ">TOKENS", ">TIME", ">CPU", ">MEMORY", ">READ", ">WRITTEN"];
    let mut table = Table::new(columns);
    let chars = if by == "work" { short(rows) } else { usize::MAX };
    for row in rows {
        let usage = &row.usage;
        // Of runs that nobody measured nothing is known, which is not nothing.
        let measured = |text: String| Cell::new(if row.measured == 0 { "-".to_owned() } else { text });
        table.row([
            Cell::new(if row.of.is_empty() { "-" } else { row.of.get(..chars).unwrap_or(&row.of) }),
            row.runs.into(),
            row.completed.into(),
            Cell::new(money(row.spent, row.unpriced)),
            row.tokens.into(),
            measured(span_ms(usage.wall_ms)),
            measured(span_ms(usage.user_us.saturating_add(usage.system_us) / 1000)),
            measured(bytes(usage.peak_bytes)),
            measured(bytes(usage.read_bytes)),
            measured(bytes(usage.written_bytes)),
        ]);
    }
    if table.is_empty() {
        out.note("no runs");
        return Ok(());
    }
    out.table(&table)?;
    let unmeasured: u64 = rows.iter().map(|row| row.runs.saturating_sub(row.measured)).sum();
    if unmeasured > 0 {
        out.note(format!(
            "the use of the machine is not known of {}: of agents that came by themselves, not over, or over before anything \
             was started",
            crate::output::count(unmeasured, "run")
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Style;
    use crate::output::tests::written;

    #[test]
    fn what_was_not_measured_is_not_told_as_nothing() {
        let row = |of: &str, measured: u64| -> CostRow {
            serde_json::from_value(serde_json::json!({
                "of": of, "runs": 2, "completed": 1, "spent": "0.50 USD", "unpriced": false, "tokens": 7,
                "measured": measured,
                "usage": { "wall_ms": 65_000, "user_us": 1_500_000, "system_us": 0, "peak_bytes": 1 << 20,
                           "read_bytes": 0, "written_bytes": 2048 },
            }))
            .unwrap()
        };
        let text = written(Style::default(), None, |out| {
            table(out, "label:team", &[row("payments", 2), row("", 0)]).unwrap();
        });
        assert_eq!(
            text,
            "TEAM      RUNS  DONE     SPENT  TOKENS     TIME  CPU   MEMORY  READ  WRITTEN\n\
             payments     2     1  0.50 USD       7  1min 5s   1s  1.0 MiB   0 B  2.0 KiB\n\
             -            2     1  0.50 USD       7        -    -        -     -        -\n"
        );
    }

    #[test]
    fn works_have_ids_that_are_as_short_as_they_may_be() {
        let row = |of: &str| -> CostRow {
            serde_json::from_value(serde_json::json!({
                "of": of, "runs": 1, "completed": 1, "spent": "0.50 USD", "unpriced": false, "tokens": 7, "measured": 0,
                "usage": { "wall_ms": 0, "user_us": 0, "system_us": 0, "peak_bytes": 0, "read_bytes": 0,
                           "written_bytes": 0 },
            }))
            .unwrap()
        };
        assert_eq!(short(&[row("w-aaaaaaaaaaaaaaaa")]), 6);
        assert_eq!(short(&[row("w-baaaaaaaaaaaaaaa"), row("w-aaaaaaaaaaaaaaaa")]), 6);
        assert_eq!(short(&[row("w-aaaaabaaaaaaaaaa"), row("w-ccccccaaaaaaaaaa"), row("w-aaaaaaaaaaaaaaaa")]), 8);
    }

    #[test]
    fn only_what_can_be_summed_up_is_taken() {
        assert!(by("label:team").is_ok() && by("owner").is_ok() && by("label:").is_err() && by("week").is_err());
    }
}
