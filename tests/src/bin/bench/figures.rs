//! What was measured: rows, the table, and `bench.json`.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    /// Times and sizes.
    Less,
    /// Rates.
    More,
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// What.
    pub(crate) name: String,
    /// The best repetition.
    pub(crate) value: f64,
    /// The median of the repetitions.
    pub(crate) median: f64,
    /// Unit of both.
    pub(crate) unit: &'static str,
    /// What it is held against: the figure that the project wants at least, or that another system reached.
    pub(crate) floor: Option<f64>,
    /// How many times better than the floor; below 1 falls short.
    pub(crate) ratio: Option<f64>,
    /// Percent of the machine that other jobs used, on the average of the repetitions.
    pub(crate) foreign_percent: f64,
    /// How to measure it alone.
    pub(crate) command: String,
}

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// The machine.
    pub(crate) machine: String,
    /// Rows in the order of measuring.
    pub(crate) rows: Vec<Row>,
    /// What could not be measured, and why.
    pub(crate) left_out: Vec<String>,
}

/// A row in the making: one value for each repetition.
pub(crate) struct Series {
    name: String,
    unit: &'static str,
    better: Better,
    floor: Option<f64>,
    values: Vec<f64>,
    foreign: Vec<f64>,
}

impl Series {
    /// An empty one.
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, better: Better, floor: Option<f64>) -> Self {
        Self { name: name.into(), unit, better, floor, values: Vec::new(), foreign: Vec::new() }
    }

    /// Sets the floor, where it is measured in the same run.
    pub(crate) fn floor(&mut self, floor: f64) {
        self.floor = Some(self.floor.map_or(floor, |before| before.min(floor)));
    }

    /// Adds one repetition.
    pub(crate) fn add(&mut self, value: f64, foreign_percent: f64) {
        self.values.push(value);
        self.foreign.push(foreign_percent);
    }

    fn row(mut self, command: &str) -> Option<Row> {
        self.values.sort_by(f64::total_cmp);
        let median = *self.values.get(self.values.len() / 2)?;
        let value = *if self.better == Better::Less { self.values.first() } else { self.values.last() }?;
        let ratio = self.floor.map(|floor| if self.better == Better::Less { floor / value } else { value / floor });
        let foreign_percent = self.foreign.iter().sum::<f64>() / self.foreign.len() as f64;
        let (name, unit, floor) = (self.name, self.unit, self.floor);
        Some(Row { name, value, median, unit, floor, ratio, foreign_percent, command: command.to_owned() })
    }
}

impl Figures {
    /// Ends a series: it is printed at once, so that a long run shows how far it is.
    pub(crate) fn take(&mut self, series: Series, stage: &str) {
        if let Some(row) = series.row(&format!("make bench BENCH_ARGS='--only {stage}'")) {
            println!("{}", line(&row));
            self.rows.push(row);
        }
    }

    /// Says what is not measured.
    pub(crate) fn leave_out(&mut self, what: String) {
        println!("{what}");
        self.left_out.push(what);
    }

    /// Writes `bench.json`.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(self).context("the figures as JSON")?;
        std::fs::write(path, json + "\n").with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// The head of the table.
pub(crate) fn head() -> String {
    format!(
        "{:<62} {:>12} {:>12} {:<9} {:>12} {:>7} {:>8}",
        "what", "best", "median", "unit", "floor", "ratio", "foreign"
    )
}

fn line(row: &Row) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), short);
    let ratio = row.ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
    format!(
        "{:<62} {:>12} {:>12} {:<9} {:>12} {:>7} {:>7.0}%",
        row.name,
        short(row.value),
        short(row.median),
        row.unit,
        number(row.floor),
        ratio,
        row.foreign_percent
    )
}

/// Three or so digits that matter.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 1000.0 => {
            let whole = format!("{value:.0}");
            let mut grouped = String::new();
            for (place, digit) in whole.chars().enumerate() {
                if place > 0 && (whole.len() - place).is_multiple_of(3) {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
