//! The clients: one process for each task, told by JSON on the command line, answering with JSON on standard output.

pub(crate) mod doors;
mod lives;
mod reads;
pub(crate) mod submits;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{floor, process};

/// What a client does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Submits one work after the other.
    Submit { control: PathBuf, works: usize },
    /// Many submitters, each with a connection of its own: `calls` calls of `works` works each.
    Concurrent { control: PathBuf, submitters: usize, calls: usize, works: usize },
    /// The floor of a submit.
    Floor { ledger: PathBuf, into: PathBuf, works: usize },
    /// Submits while an agent waits; the time until the agent has the work.
    Wake { control: PathBuf, agents: PathBuf, name: String, works: usize },
    /// Whole lives: submit, claim, complete.
    Lives { control: PathBuf, agents: PathBuf, name: String, count: usize, works: usize },
    /// Claims with a skill that no work asks for.
    Absent { control: PathBuf, agents: PathBuf, name: String, claims: usize },
    /// Lists the newest 50 works.
    List { control: PathBuf, calls: usize },
    /// Shows one work.
    Show { control: PathBuf, work: String, calls: usize },
}

/// What a client measured.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// How many.
    pub(crate) count: usize,
    /// In how long.
    pub(crate) seconds: f64,
    /// Median of single times.
    pub(crate) p50_ms: f64,
    /// 99th percentile of single times.
    pub(crate) p99_ms: f64,
}

impl Sample {
    /// From single times.
    pub(crate) fn of(elapsed: Duration, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        let at = |percent: usize| {
            let place = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
            latencies.get(place).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
        };
        Self { count: latencies.len(), seconds: elapsed.as_secs_f64(), p50_ms: at(50), p99_ms: at(99) }
    }

    /// How many a second.
    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.seconds
    }
}

/// The work that is submitted, as JSON: others get the same.
pub(crate) fn document() -> String {
    submits::work(0)
}

/// Runs a task in a process of its own.
pub(crate) fn run(task: &Task) -> anyhow::Result<Sample> {
    let own = std::env::current_exe().context("the place of the benchmark")?;
    let task = serde_json::to_string(task).context("the task as JSON")?;
    let answer = process::output(process::command(own)?.arg("client").arg(task))?;
    serde_json::from_str(&answer).with_context(|| format!("the answer of a client: {answer:?}"))
}

/// The client's side of [`run`].
pub(crate) fn main(words: &[OsString]) -> anyhow::Result<()> {
    let text = words.first().and_then(|word| word.to_str()).context("client of which task?")?;
    let task: Task = serde_json::from_str(text).context("the task")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sample = runtime.block_on(perform(task))?;
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}

async fn perform(task: Task) -> anyhow::Result<Sample> {
    match task {
        Task::Submit { control, works } => submits::one_by_one(&control, works).await,
        Task::Concurrent { control, submitters, calls, works } => {
            submits::concurrent(&control, submitters, calls, works).await
        }
        Task::Floor { ledger, into, works } => floor::run(&ledger, &into, works),
        Task::Wake { control, agents, name, works } => lives::wake(&control, &agents, &name, works).await,
        Task::Lives { control, agents, name, count, works } => {
            lives::whole(&control, &agents, &name, count, works).await
        }
        Task::Absent { control, agents, name, claims } => lives::absent(&control, &agents, &name, claims).await,
        Task::List { control, calls } => reads::list(&control, calls).await,
        Task::Show { control, work, calls } => reads::show(&control, &work, calls).await,
    }
}
