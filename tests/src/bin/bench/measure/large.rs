//! A large ledger: a million works that are ready, and everything that must not become slow because of them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use rusqlite::{Connection, OpenFlags};

use super::{cold, watched};
use crate::client::Task;
use crate::daemon::Daemon;
use crate::figures::{Better, Figures, Series};
use crate::options::Options;

const STAGE: &str = "large";
/// Works a call while the ledger is filled.
const FILL: usize = 1000;
/// Callers that fill it.
const FILLERS: usize = 4;
/// Commands a repetition from the command line.
const COLD: usize = 100;
/// Calls a repetition on a warm connection.
const WARM: usize = 500;

pub(super) fn stage(options: &Options, figures: &mut Figures) -> anyhow::Result<()> {
    let state = options.scratch.join("large");
    let daemon = Daemon::start(&options.binaries, &state)?;
    fill(options, figures, &daemon)?;
    let (ledger, control) = (daemon.ledger(), daemon.control());
    daemon.stop()?;
    let (events, newest) = measured_ledger(&ledger)?;
    verify(options, figures, &state, events)?;
    let daemon = starts(options, figures, &state)?;
    let agentctl = || {
        let mut command = Command::new(options.binaries.join("agentctl"));
        command.arg("--address").arg(&control);
        command
    };
    let works = count(options.large);
    cli(options, figures, &format!("agentctl status, cold, {works}, p50"), 6.0, agentctl().arg("status"))?;
    let list = Task::List { control: control.clone(), calls: WARM };
    warm(options, figures, &format!("list the newest 50, warm, {works}, p50"), Some(5.0), &list)?;
    let show = Task::Show { control: control.clone(), work: newest.clone(), calls: WARM };
    warm(options, figures, &format!("show one, warm, {works}, p50"), Some(5.0), &show)?;
    let name = format!("agentctl work list, cold, {works}, p50");
    cli(options, figures, &name, 5.0, agentctl().args(["work", "list"]))?;
    let name = format!("agentctl work show, cold, {works}, p50");
    cli(options, figures, &name, 5.0, agentctl().args(["work", "show", &newest]))?;
    absent(options, figures, &daemon)?;
    memory(figures, format!("resident memory, {works}, after all reads"), Some(48.0), &daemon)?;
    daemon.stop()
}

fn count(works: usize) -> String {
    match works {
        1_000_000 => "1M works".to_owned(),
        other => format!("{}k works", other / 1000),
    }
}

fn fill(options: &Options, figures: &mut Figures, daemon: &Daemon) -> anyhow::Result<()> {
    let calls = (options.large / FILL / FILLERS).max(1);
    let task = Task::Concurrent { control: daemon.control(), submitters: FILLERS, calls, works: FILL };
    let (sample, foreign) = watched(&task)?;
    let works = count(options.large);
    let mut rate =
        Series::new(format!("4 submitters, 1000 works a call, up to {works}"), "works/s", Better::More, None);
    rate.add(sample.rate(), foreign);
    figures.take(rate, STAGE);
    memory(figures, format!("resident memory, {works}, after their submit"), Some(48.0), daemon)
}

fn memory(figures: &mut Figures, name: String, floor: Option<f64>, daemon: &Daemon) -> anyhow::Result<()> {
    let mut resident = Series::new(name, "MiB", Better::Less, floor);
    resident.add(daemon.resident_mib()?, 0.0);
    figures.take(resident, STAGE);
    Ok(())
}

/// Events in the ledger, and the id of its newest work.
fn measured_ledger(ledger: &Path) -> anyhow::Result<(f64, String)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(ledger, flags).context("the large ledger")?;
    let events: i64 = db.query_row("SELECT max(idx) + 1 FROM events", [], |row| row.get(0))?;
    let newest = db.query_row("SELECT id FROM works ORDER BY key DESC LIMIT 1", [], |row| row.get::<_, [u8; 10]>(0))?;
    Ok((events as f64, agentd_schemas::id::WorkId::from_bytes(newest).to_string()))
}

fn verify(options: &Options, figures: &mut Figures, state: &Path, events: f64) -> anyhow::Result<()> {
    for (name, deep, floor, times) in [
        ("ledger verify, two threads", false, 1_000_000.0, options.repetitions),
        ("ledger verify --deep", true, 100_000.0, options.repetitions.min(2)),
    ] {
        let mut rate = Series::new(name, "events/s", Better::More, Some(floor));
        for _ in 0..times {
            let mut command = Command::new(options.binaries.join("agentd"));
            command.arg("--state").arg(state).arg("verify").args(deep.then_some("--deep"));
            let (sample, foreign) = cold(&mut command, 1)?;
            rate.add(events / sample.seconds, foreign);
        }
        figures.take(rate, STAGE);
    }
    Ok(())
}

/// Starts the daemon on the large ledger; the last one stays.
fn starts(options: &Options, figures: &mut Figures, state: &Path) -> anyhow::Result<Daemon> {
    let works = count(options.large);
    let mut start = Series::new(format!("daemon start, {works}"), "ms", Better::Less, Some(500.0));
    let mut last: Option<Daemon> = None;
    for _ in 0..options.repetitions {
        if let Some(daemon) = last.take() {
            daemon.stop()?;
        }
        let before = crate::machine::Ticks::now();
        let daemon = Daemon::start(&options.binaries, state)?;
        start.add(daemon.started_ms, before.foreign_percent());
        last = Some(daemon);
    }
    figures.take(start, STAGE);
    let Some(daemon) = last else { bail!("no repetition") };
    memory(figures, format!("resident memory, {works}, after start"), Some(48.0), &daemon)?;
    Ok(daemon)
}

fn cli(options: &Options, figures: &mut Figures, name: &str, floor: f64, command: &mut Command) -> anyhow::Result<()> {
    let mut p50 = Series::new(name, "ms", Better::Less, Some(floor));
    for _ in 0..options.repetitions {
        let (sample, foreign) = cold(command, COLD)?;
        p50.add(sample.p50_ms, foreign);
    }
    figures.take(p50, STAGE);
    Ok(())
}

fn warm(options: &Options, figures: &mut Figures, name: &str, floor: Option<f64>, task: &Task) -> anyhow::Result<()> {
    let mut p50 = Series::new(name, "ms", Better::Less, floor);
    for _ in 0..options.repetitions {
        let (sample, foreign) = watched(task)?;
        p50.add(sample.p50_ms, foreign);
    }
    figures.take(p50, STAGE);
    Ok(())
}

fn absent(options: &Options, figures: &mut Figures, daemon: &Daemon) -> anyhow::Result<()> {
    let name = format!("claim with an absent skill, {} ready, p50", count(options.large));
    let mut p50 = Series::new(name, "ms", Better::Less, Some(5.0));
    for repetition in 0..options.repetitions {
        let name = format!("absent-{repetition}");
        let task = Task::Absent { control: daemon.control(), agents: daemon.agents(), name, claims: WARM };
        let (sample, foreign) = watched(&task)?;
        p50.add(sample.p50_ms, foreign);
    }
    figures.take(p50, STAGE);
    Ok(())
}
