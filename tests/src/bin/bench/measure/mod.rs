//! The stages: each has a directory and daemons of its own, and ends with rows.

mod governance;
mod large;
mod lives;
mod policies;
mod runs;
mod submits;
mod units;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::client::{self, Sample, Task};
use crate::figures::{self, Figures};
use crate::machine::{self, Ticks};
use crate::options::Options;
use crate::others;

/// Runs the stages that are wanted, prints the table and writes the file.
pub(crate) fn all(options: &Options) -> anyhow::Result<()> {
    for program in ["agentd", "agentctl", "agentd-launch", "agentd-shim"] {
        if !options.binaries.join(program).exists() {
            bail!("there is no {program} next to the benchmark; build it: make bench");
        }
    }
    std::fs::create_dir_all(&options.scratch)?;
    let mut figures = Figures { machine: machine::describe(), ..Figures::default() };
    println!("{}\nbench {}\n\n{}", figures.machine, options.words, figures::head());
    let measured = stages(options, &mut figures);
    drop(std::fs::remove_dir_all(&options.scratch));
    figures.write(&options.result())?;
    println!("\n{}", options.result().display());
    measured
}

fn stages(options: &Options, figures: &mut Figures) -> anyhow::Result<()> {
    if options.wants("submits") {
        submits::stage(options, figures).context("stage submits")?;
    }
    if options.wants("lives") {
        lives::stage(options, figures).context("stage lives")?;
    }
    if options.wants("runs") {
        runs::stage(options, figures).context("stage runs")?;
    }
    if options.wants("units") {
        units::stage(options, figures).context("stage units")?;
    }
    if options.wants("policies") {
        policies::stage(options, figures).context("stage policies")?;
    }
    if options.wants("governance") {
        governance::stage(options, figures).context("stage governance")?;
    }
    if options.wants("large") {
        large::stage(options, figures).context("stage large")?;
    }
    if options.wants("postgres") {
        others::postgres::stage(options, figures).context("stage postgres")?;
    }
    if options.wants("pueue") {
        others::pueue::stage(options, figures).context("stage pueue")?;
    }
    Ok(())
}

/// Runs a client; gives the percent of the machine that others used meanwhile as well.
fn watched(task: &Task) -> anyhow::Result<(Sample, f64)> {
    let before = Ticks::now();
    let sample = client::run(task)?;
    Ok((sample, before.foreign_percent()))
}

/// The time from fork to exit of a program, many times.
pub(crate) fn cold(command: &mut Command, times: usize) -> anyhow::Result<(Sample, f64)> {
    let before = Ticks::now();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let mut latencies: Vec<Duration> = Vec::with_capacity(times);
    for _ in 0..times {
        let begun = Instant::now();
        let status = command.status().with_context(|| format!("{command:?}"))?;
        latencies.push(begun.elapsed());
        if !status.success() {
            bail!("{command:?} failed");
        }
    }
    Ok((Sample::of(begun.elapsed(), latencies), before.foreign_percent()))
}
