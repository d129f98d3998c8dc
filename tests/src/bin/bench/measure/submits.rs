//! A fresh ledger: memory at rest, the command line, and submits of three kinds.

use std::process::Command;

use super::{cold, watched};
use crate::client::Task;
use crate::daemon::Daemon;
use crate::figures::{Better, Figures, Series};
use crate::options::Options;

const STAGE: &str = "submits";
/// How much slower than the bare commit a submit may be.
const OVER_FLOOR: f64 = 1.6;

pub(super) fn stage(options: &Options, figures: &mut Figures) -> anyhow::Result<()> {
    let daemon = Daemon::start(&options.binaries, &options.scratch.join("submits"))?;
    at_rest(options, figures, &daemon)?;
    one_by_one(options, figures, &daemon)?;
    concurrent(options, figures, &daemon)?;
    daemon.stop()
}

fn at_rest(options: &Options, figures: &mut Figures, daemon: &Daemon) -> anyhow::Result<()> {
    let mut resident = Series::new("resident memory, idle", "MiB", Better::Less, Some(20.0));
    resident.add(daemon.resident_mib()?, 0.0);
    figures.take(resident, STAGE);
    let mut status = Series::new("agentctl status, cold, empty, p50", "ms", Better::Less, Some(4.0));
    for _ in 0..options.repetitions {
        let mut command = Command::new(options.binaries.join("agentctl"));
        let (sample, foreign) = cold(command.arg("--address").arg(daemon.control()).arg("status"), 100)?;
        status.add(sample.p50_ms, foreign);
    }
    figures.take(status, STAGE);
    Ok(())
}

fn one_by_one(options: &Options, figures: &mut Figures, daemon: &Daemon) -> anyhow::Result<()> {
    let works = options.size(2000);
    let mut bare = Series::new("SQLite commit of the same rows in process, p50", "ms", Better::Less, None);
    let mut p50 = Series::new("sequential submit, p50 (floor: 1.6 x that commit)", "ms", Better::Less, None);
    let mut p99 = Series::new("sequential submit, p99", "ms", Better::Less, None);
    for _ in 0..options.repetitions {
        let (sample, foreign) = watched(&Task::Submit { control: daemon.control(), works })?;
        p50.add(sample.p50_ms, foreign);
        p99.add(sample.p99_ms, foreign);
        let into = options.scratch.join("floor.db");
        let (sample, foreign) = watched(&Task::Floor { ledger: daemon.ledger(), into, works })?;
        bare.add(sample.p50_ms, foreign);
        p50.floor(sample.p50_ms * OVER_FLOOR);
    }
    for series in [bare, p50, p99] {
        figures.take(series, STAGE);
    }
    Ok(())
}

fn concurrent(options: &Options, figures: &mut Figures, daemon: &Daemon) -> anyhow::Result<()> {
    for (name, submitters, calls, works, floor) in [
        ("64 concurrent submitters, one work a call", 64, 400, 1, 10_000.0),
        ("8 concurrent submitters, 64 works a call", 8, 200, 64, 30_000.0),
        ("4 concurrent submitters, 256 works a call", 4, 100, 256, 30_000.0),
    ] {
        let calls = options.size(calls);
        let mut rate = Series::new(name, "works/s", Better::More, Some(floor));
        for _ in 0..options.repetitions {
            let (sample, foreign) = watched(&Task::Concurrent { control: daemon.control(), submitters, calls, works })?;
            rate.add(sample.rate(), foreign);
        }
        figures.take(rate, STAGE);
    }
    Ok(())
}
