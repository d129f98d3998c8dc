//! What is measured inside of a systemd that was booted for it. The last line on standard output is the figures.

use std::collections::HashMap;
use std::ffi::OsString;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agentd_schemas::dbus::WorksProxy;
use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zbus::{Connection, MatchRule, MessageStream, OwnedObjectPath, Variant};

use crate::client::{doors, submits};
use crate::machine;
use crate::process::output;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Units, and runs one after the other, whose start is measured.
const STARTS: usize = 30;
/// Submits over each way.
const SUBMITS: usize = 300;

/// The figures.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Booted {
    pub(crate) bare_ms: f64,
    pub(crate) unit_ms: f64,
    pub(crate) runs_per_s: f64,
    pub(crate) again_s: f64,
    pub(crate) socket_ms: f64,
    pub(crate) bus_ms: f64,
    pub(crate) idle_mib: f64,
}

/// Measures with this many runs.
pub(crate) fn main(words: &[OsString]) -> anyhow::Result<()> {
    let count: usize = words.first().and_then(|word| word.to_str()).context("how many runs")?.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let figures = runtime.block_on(measure(count))?;
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

async fn measure(count: usize) -> anyhow::Result<Booted> {
    run("/agentd/boot/install.sh", &[])?;
    std::fs::write("/etc/agentd/agentd.toml", "[runs]\nmax = 600\nmin_free_percent = 0\n")?;
    let sockets = ["agentd.socket", "agentd-agents.socket", "agentd-metrics.socket", "agentd-launch.socket"];
    run("systemctl", &[["enable", "--now", "--quiet"].as_slice(), &sockets].concat())?;
    run("systemctl", &["start", "agentd.service"])?;
    let level = status()?["runs"]["level"].clone();
    if level != "unit" && level != "strict" {
        bail!("runs are at level {level}");
    }
    let mut figures = Booted { idle_mib: idle()?, ..Booted::default() };
    let connection = Connection::system().await?;
    let jobs = Jobs::watch(&connection).await?;
    figures.bare_ms = bare(&connection, &jobs).await?;
    agent("single", 1, &["/bin/echo", "done"])?;
    for _ in 0..STARTS {
        agentctl(&["submit", "measured", "--quiet", "--wait", "--skill", "single"])?;
    }
    figures.unit_ms = jobs.median("agentd-run-")?;
    agent("trivial", 8, &["/bin/echo", "done"])?;
    let begun = Instant::now();
    submit_many("trivial", count)?;
    until("/works/completed", (STARTS + count) as u64)?;
    figures.runs_per_s = count as f64 / begun.elapsed().as_secs_f64();
    figures.socket_ms = submits_p50(&doors::operators("/run/agentd/control.sock".as_ref()).await?).await?;
    figures.bus_ms = submits_p50(&connection).await?;
    agent("sleeper", 256, &["/bin/sleep", "600"])?;
    submit_many("sleeper", count)?;
    until("/runs/running", count as u64)?;
    run("systemctl", &["stop", "agentd.service"])?;
    let begun = Instant::now();
    run("systemctl", &["start", "agentd.service"])?;
    until("/runs/running", count as u64)?;
    figures.again_s = begun.elapsed().as_secs_f64();
    run("systemctl", &["stop", "agentd-runs.slice"])?;
    Ok(figures)
}

fn run(program: &str, words: &[&str]) -> anyhow::Result<String> {
    output(Command::new(program).args(words))
}

fn agentctl(words: &[&str]) -> anyhow::Result<String> {
    output(Command::new("/usr/bin/agentctl").args(["--address", "system"]).args(words))
}

fn status() -> anyhow::Result<Value> {
    serde_json::from_str(&agentctl(&["status", "--json"])?).context("the status")
}

fn until(pointer: &str, count: u64) -> anyhow::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if status()?.pointer(pointer).and_then(Value::as_u64).unwrap_or(0) >= count {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("{pointer} did not come to {count}")
}

/// Enrols an agent that is out of probation.
fn agent(name: &str, at_a_time: u32, command: &[&str]) -> anyhow::Result<()> {
    let document = serde_json::json!({
        "name": name, "skills": [name], "command": command, "limits": { "max_concurrency": at_a_time },
    });
    let file = format!("/root/{name}.json");
    std::fs::write(&file, document.to_string())?;
    agentctl(&["agent", "enroll", "--file", &file])?;
    agentctl(&["agent", "activate", name, "--reason", "measured"]).map(drop)
}

fn submit_many(skill: &str, count: usize) -> anyhow::Result<()> {
    let work = serde_json::json!({ "title": "measured", "required_skills": [skill] }).to_string() + "\n";
    std::fs::write("/root/works.jsonl", work.repeat(count))?;
    agentctl(&["submit", "--quiet", "--file", "/root/works.jsonl"]).map(drop)
}

/// Their share of memory, right after the launcher was used.
fn idle() -> anyhow::Result<f64> {
    Ok(machine::mean_memory("agentd")?.share + machine::mean_memory("agentd-launch")?.share)
}

async fn submits_p50(connection: &Connection) -> anyhow::Result<f64> {
    let works = WorksProxy::new(connection).await?;
    let mut latencies = Vec::with_capacity(SUBMITS);
    for number in 0..SUBMITS {
        let begun = Instant::now();
        works.submit(&submits::work(number), &submits::key(number)).await.context("a submit")?;
        latencies.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(median(latencies))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Starts trivial units that ask for nothing.
async fn bare(connection: &Connection, jobs: &Jobs) -> anyhow::Result<f64> {
    for number in 0..STARTS {
        let name = format!("bench-bare-{number}.service");
        let command = vec![("/bin/true", vec!["/bin/true"], false)];
        let properties: Vec<(&str, Variant<'_>)> =
            vec![("Type", "exec".into()), ("CollectMode", "inactive-or-failed".into()), ("ExecStart", command.into())];
        let aux: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
        let systemd = Some("org.freedesktop.systemd1");
        let manager = "org.freedesktop.systemd1.Manager";
        let body = &(name.as_str(), "fail", properties, aux);
        connection.call_method(systemd, "/org/freedesktop/systemd1", Some(manager), "StartTransientUnit", body).await?;
        let begun = Instant::now();
        while jobs.of(&name) == 0 && begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    jobs.median("bench-bare-")
}

/// When jobs of systemd came and went, by the unit.
#[derive(Clone, Default)]
struct Jobs(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    new: HashMap<OwnedObjectPath, Instant>,
    took_ms: Vec<(String, f64)>,
}

impl Jobs {
    /// Listens from here on.
    async fn watch(connection: &Connection) -> anyhow::Result<Self> {
        let manager = "org.freedesktop.systemd1.Manager";
        let systemd = Some("org.freedesktop.systemd1");
        connection
            .call_method(systemd, "/org/freedesktop/systemd1", Some(manager), "Subscribe", &())
            .await
            .context("systemd tells nothing of its jobs")?;
        let rule = MatchRule::builder().msg_type(zbus::message::Type::Signal).interface(manager).build()?;
        let mut signals = MessageStream::for_match_rule(rule, connection, std::num::NonZero::new(4096)).await?;
        let jobs = Self::default();
        let told = jobs.clone();
        tokio::spawn(async move {
            while let Some(Ok(message)) = signals.next().await {
                told.take(&message);
            }
        });
        Ok(jobs)
    }

    fn take(&self, message: &zbus::Message) {
        let Ok(mut told) = self.0.lock() else { return };
        let header = message.header();
        match header.member().map(|member| member.as_str().to_owned()).as_deref() {
            Some("JobNew") => {
                if let Ok((_, job, _)) = message.body().deserialize::<(u32, OwnedObjectPath, String)>() {
                    told.new.insert(job, Instant::now());
                }
            }
            Some("JobRemoved") => {
                if let Ok((_, job, unit, _)) = message.body().deserialize::<(u32, OwnedObjectPath, String, String)>()
                    && let Some(since) = told.new.remove(&job)
                {
                    told.took_ms.push((unit, since.elapsed().as_secs_f64() * 1000.0));
                }
            }
            _ => {}
        }
    }

    /// How many jobs of a unit are over.
    fn of(&self, unit: &str) -> usize {
        self.0.lock().map_or(0, |told| told.took_ms.iter().filter(|(of, _)| of == unit).count())
    }

    /// Of all units whose names begin so.
    fn median(&self, prefix: &str) -> anyhow::Result<f64> {
        let told = self.0.lock().map_err(|_| anyhow::anyhow!("the listener failed"))?;
        let took: Vec<f64> =
            told.took_ms.iter().filter(|(unit, _)| unit.starts_with(prefix)).map(|(_, ms)| *ms).collect();
        if took.is_empty() {
            bail!("no job of {prefix} was seen");
        }
        Ok(median(took))
    }
}
