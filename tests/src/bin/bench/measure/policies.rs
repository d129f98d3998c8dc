//! Decisions: one with fifty policies, the same once more, and reading a set again. They take less than a call at a door, so
//! `agentd policy measure` times them in process.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::figures::{Better, Figures, Series};
use crate::machine::Ticks;
use crate::options::Options;

const STAGE: &str = "policies";
/// Policies of the host, beside the defaults.
const POLICIES: usize = 50;

pub(super) fn stage(options: &Options, figures: &mut Figures) -> anyhow::Result<()> {
    let file = options.scratch.join("bench.cedar");
    std::fs::write(&file, policies()).with_context(|| format!("file {}", file.display()))?;
    let mut decision = Series::new("decision with 50 policies, p50", "us", Better::Less, Some(60.0));
    let mut repeated = Series::new("the same decision again, p50", "us", Better::Less, Some(2.0));
    let mut reload = Series::new("50 policies read and checked, p50", "ms", Better::Less, Some(10.0));
    for _ in 0..options.repetitions {
        let before = Ticks::now();
        let output = Command::new(options.binaries.join("agentd")).args(["policy", "measure"]).arg(&file).output()?;
        if !output.status.success() {
            bail!("agentd policy measure: {}", String::from_utf8_lossy(&output.stderr));
        }
        let told: Value = serde_json::from_slice(&output.stdout)?;
        let foreign = before.foreign_percent();
        let number = |name: &str| told[name].as_f64().with_context(|| format!("no {name} in {told}"));
        decision.add(number("decision_us")?, foreign);
        repeated.add(number("hundred_repeated_us")? / 100.0, foreign);
        reload.add(number("load_us")? / 1000.0, foreign);
    }
    for series in [decision, repeated, reload] {
        figures.take(series, STAGE);
    }
    Ok(())
}

fn policies() -> String {
    let mut text = String::new();
    for number in 0..POLICIES {
        let uid = 500_000 + number;
        let _ = writeln!(
            text,
            "@id(\"bench.{number}\")\nforbid (principal is Agentd::User, action == Agentd::Action::\"work.manage\", resource)\n\
             when {{ principal.uid == {uid} && resource has owner && resource.owner != principal }};"
        );
    }
    text
}
