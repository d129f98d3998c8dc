//! Runs that agentd starts: how soon a program runs, how many end to end, what many of them weigh, how fast they write, and
//! how soon a daemon that was killed has them again.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::cold;
use crate::daemon::Daemon;
use crate::figures::{Better, Figures, Series};
use crate::machine::{self, Ticks};
use crate::options::Options;
use crate::process::output;

const STAGE: &str = "runs";
/// How much slower than bare bubblewrap the first instruction of a program may be.
const OVER_BUBBLEWRAP: f64 = 1.5;
/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Bytes that a program writes to be measured, in MB.
const WRITTEN_MB: usize = 400;

const CONFIGURATION: &str = "[runs]\nmax = 600\nmin_free_percent = 0\noutput_max = \"512M\"\n";
const BUBBLEWRAP: &[&str] = &[
    "--unshare-all",
    "--die-with-parent",
    "--new-session",
    "--ro-bind",
    "/usr",
    "/usr",
    "--symlink",
    "usr/lib",
    "/lib",
    "--symlink",
    "usr/lib64",
    "/lib64",
    "--symlink",
    "usr/bin",
    "/bin",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
];

pub(super) fn stage(options: &Options, figures: &mut Figures) -> anyhow::Result<()> {
    if !Path::new("/usr/bin/bwrap").exists() {
        figures.leave_out("runs: bubblewrap is not installed".to_owned());
        return Ok(());
    }
    reachable(options)?;
    let state = options.scratch.join("runs");
    let daemon = Daemon::start_with(&options.binaries, &state, CONFIGURATION)?;
    let host = Host { options, daemon };
    first_instruction(&host, figures)?;
    trivial(&host, figures)?;
    written(&host, figures)?;
    sleeping(host, figures)
}

/// As root each run has a user of its own, who must get to the programs and to its folder. Otherwise no run would ever begin,
/// and everything here waited for one.
fn reachable(options: &Options) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    for place in [&options.binaries, &options.scratch] {
        if let Some(closed) = closed_above(place) {
            let (closed, place) = (closed.display(), place.display());
            bail!(
                "the users of runs cannot reach {place}: {closed} lets nobody else through; chmod o+x {closed}, or build where \
                 they can: CARGO_TARGET_DIR=/var/tmp/agentd-target make bench"
            );
        }
    }
    Ok(())
}

/// The outermost folder on the way to a place, the place included, that lets no other user through.
fn closed_above(place: &Path) -> Option<PathBuf> {
    let mut above: Vec<&Path> = place.ancestors().collect();
    above.reverse();
    let is_closed = |path: &&Path| path.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 == 0);
    above.into_iter().find(is_closed).map(Path::to_owned)
}

struct Host<'a> {
    options: &'a Options,
    daemon: Daemon,
}

impl Host<'_> {
    fn agentctl(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(self.options.binaries.join("agentctl"));
        output(command.arg("--address").arg(self.daemon.control()).args(words))
    }

    fn json(&self, words: &[&str]) -> anyhow::Result<Value> {
        let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.agentctl(&words)?).context("the answer of agentctl")
    }

    /// Enrols an agent that is out of probation.
    fn agent(&self, name: &str, at_a_time: u32, command: &[&str]) -> anyhow::Result<()> {
        let document = serde_json::json!({
            "name": name, "skills": [name], "command": command, "limits": { "max_concurrency": at_a_time },
        });
        let file = self.options.scratch.join(format!("{name}.json"));
        std::fs::write(&file, document.to_string())?;
        self.agentctl(&["agent", "enroll", "--file", &file.display().to_string()])?;
        self.agentctl(&["agent", "activate", name, "--reason", "measured"])?;
        Ok(())
    }

    fn submit_many(&self, skill: &str, count: usize) -> anyhow::Result<()> {
        let work = serde_json::json!({ "title": "measured", "required_skills": [skill] }).to_string() + "\n";
        let file = self.options.scratch.join("works.jsonl");
        std::fs::write(&file, work.repeat(count))?;
        self.agentctl(&["submit", "--quiet", "--file", &file.display().to_string()]).map(drop)
    }

    /// Waits until `count` works, or runs, are at what `pointer` of the status names.
    fn until(&self, pointer: &str, count: u64) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let status = self.json(&["status"])?;
            if status.pointer(pointer).and_then(Value::as_u64).unwrap_or(0) >= count {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("{pointer} did not come to {count}")
    }

    /// The folders of runs.
    fn folders(&self) -> PathBuf {
        self.options.scratch.join("runs/runs")
    }

    /// Waits until a work failed, and shows it.
    fn until_failed(&self, work: &str) -> anyhow::Result<Value> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let shown = self.json(&["work", "show", work])?;
            if shown["state"] == "failed" && shown["runs"][0]["program"].is_object() {
                return Ok(shown);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("work {work} did not end")
    }

    /// Submits one work, waits for its end, and shows it.
    fn one(&self, skill: &str) -> anyhow::Result<Value> {
        let work = self.agentctl(&["submit", "measured", "--quiet", "--wait", "--skill", skill])?;
        let work = work.lines().next().context("the id of a work")?.to_owned();
        self.json(&["work", "show", &work])
    }
}

fn first_instruction(host: &Host<'_>, figures: &mut Figures) -> anyhow::Result<()> {
    host.agent("clock", 1, &["/bin/date", "+%s%3N"])?;
    let times = host.options.size(60).max(20);
    let mut bare = Series::new("bare bubblewrap, to the end of date, p50", "ms", Better::Less, None);
    let mut first = Series::new("claim to the end of date, strict, p50 (floor: 1.5 x that)", "ms", Better::Less, None);
    for _ in 0..host.options.repetitions {
        let mut command = Command::new("/usr/bin/bwrap");
        command.args(BUBBLEWRAP).args(["/bin/date", "+%s%3N"]).stdout(Stdio::null());
        let (sample, foreign) = cold(&mut command, times)?;
        bare.add(sample.p50_ms, foreign);
        first.floor(sample.p50_ms * OVER_BUBBLEWRAP);
        let before = Ticks::now();
        let mut latencies = Vec::with_capacity(times);
        for _ in 0..times {
            let run = host.one("clock")?["runs"][0].clone();
            let claimed: jiff::Timestamp = run["claimed_at"].as_str().context("when it was claimed")?.parse()?;
            let told = run["result"].as_i64().context("what the program said")?;
            latencies.push((told - claimed.as_millisecond()) as f64);
        }
        latencies.sort_by(f64::total_cmp);
        first.add(latencies[latencies.len() / 2], before.foreign_percent());
    }
    figures.take(bare, STAGE);
    figures.take(first, STAGE);
    Ok(())
}

fn trivial(host: &Host<'_>, figures: &mut Figures) -> anyhow::Result<()> {
    host.agent("trivial", 8, &["/bin/echo", "done"])?;
    let mut rate = Series::new("trivial runs end to end, 8 at a time", "runs/s", Better::More, Some(40.0));
    let count = 200;
    for _ in 0..host.options.repetitions {
        let done = host.json(&["status"])?.pointer("/works/completed").and_then(Value::as_u64).unwrap_or(0);
        let (before, begun) = (Ticks::now(), Instant::now());
        host.submit_many("trivial", count)?;
        host.until("/works/completed", done + count as u64)?;
        rate.add(count as f64 / begun.elapsed().as_secs_f64(), before.foreign_percent());
    }
    figures.take(rate, STAGE);
    Ok(())
}

fn written(host: &Host<'_>, figures: &mut Figures) -> anyhow::Result<()> {
    let bytes = format!("{WRITTEN_MB}000000");
    let mut rate =
        Series::new("output of a program, below its bound, none lost from its file", "MB/s", Better::More, Some(100.0));
    for repetition in 0..host.options.repetitions {
        // Of a run that failed the record stays, and who fails often is paused.
        let writer = format!("writer-{repetition}");
        host.agent(&writer, 1, &["/bin/sh", "-c", "head -c \"$0\" /dev/zero >&2; exit 1", &bytes])?;
        let before = Ticks::now();
        let work = host.agentctl(&["submit", "measured", "--quiet", "--max-attempts", "1", "--skill", &writer])?;
        let work = host.until_failed(work.trim())?;
        let program = &work["runs"][0]["program"];
        kept(host, work["id"].as_str().context("the id of a work")?, program)?;
        let wall_ms = program["usage"]["wall_ms"].as_u64().context("how long it took")?;
        rate.add(WRITTEN_MB as f64 / (wall_ms as f64 / 1000.0), before.foreign_percent());
    }
    figures.take(rate, STAGE);
    Ok(())
}

/// Holds that what a program wrote lies in its record, all of it; then it makes room for the next.
fn kept(host: &Host<'_>, work: &str, program: &Value) -> anyhow::Result<()> {
    let wrote = WRITTEN_MB as u64 * 1_000_000;
    let file = host.folders().join(format!("{work}.1/program/stderr"));
    let lies_there = file.metadata().with_context(|| format!("looking at {}", file.display()))?.len();
    if program["stderr_bytes"].as_u64() != Some(wrote) || lies_there != wrote {
        bail!("output was lost: of {wrote} bytes {lies_there} are in {}: {program}", file.display());
    }
    std::fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))
}

/// The sockets of runs that are there, by number and time: one that is opened again is another, though it may have the number of one
/// that was removed.
fn doors(folders: &Path) -> anyhow::Result<BTreeSet<(u64, i64, i64)>> {
    let runs = std::fs::read_dir(folders)?.flatten();
    Ok(runs
        .filter_map(|run| run.path().join("door/run.sock").metadata().ok())
        .map(|found| (found.ino(), found.ctime(), found.ctime_nsec()))
        .collect())
}

fn sleeping(host: Host<'_>, figures: &mut Figures) -> anyhow::Result<()> {
    let count = host.options.size(500);
    let marker = format!("{}", 100_000 + SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() % 100_000);
    for name in ["sleeper-a", "sleeper-b"] {
        host.agent(name, 256, &["/bin/sleep", &marker])?;
        host.submit_many(name, count / 2)?;
    }
    let living = (count / 2 * 2) as u64;
    host.until("/runs/running", living)?;
    let mut shim = Series::new(
        format!("{living} sleeping runs: memory of a shim, its share (PSS)"),
        "MiB",
        Better::Less,
        Some(1.5),
    );
    let mut resident =
        Series::new(format!("{living} sleeping runs: resident memory of a shim"), "MiB", Better::Less, None);
    let mut daemon =
        Series::new(format!("{living} sleeping runs: resident memory of the daemon"), "MiB", Better::Less, Some(64.0));
    let memory = machine::mean_memory("agentd-shim")?;
    shim.add(memory.share, 0.0);
    resident.add(memory.resident, 0.0);
    daemon.add(host.daemon.resident_mib()?, 0.0);
    figures.take(shim, STAGE);
    figures.take(resident, STAGE);
    figures.take(daemon, STAGE);
    let mut again = Series::new(
        format!("{living} runs taken over after kill -9 of the daemon, each heard again"),
        "s",
        Better::Less,
        Some(2.0),
    );
    let Host { options, daemon } = host;
    let state = options.scratch.join("runs");
    daemon.kill()?;
    let left = doors(&state.join("runs"))?;
    let (before, begun) = (Ticks::now(), Instant::now());
    let host = Host { options, daemon: Daemon::start_with(&options.binaries, &state, CONFIGURATION)? };
    host.until("/runs/running", living)?;
    // It counts as running before anybody looked at its folder. Its socket is opened anew by who has read what is in there.
    while (doors(&host.folders())?.difference(&left).count() as u64) < living {
        if begun.elapsed() > PATIENCE {
            bail!("not all of {living} runs were taken over");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    again.add(begun.elapsed().as_secs_f64(), before.foreign_percent());
    figures.take(again, STAGE);
    for name in ["sleeper-a", "sleeper-b"] {
        host.agentctl(&["agent", "retire", name, "--reason", "measured"])?;
    }
    let begun = Instant::now();
    while machine::mean_memory("agentd-shim").is_ok() && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
    }
    host.daemon.stop()
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir_all, set_permissions};

    use agentd_tests::harness::Scratch;

    use super::*;

    #[test]
    fn a_home_that_is_closed_to_users_of_runs_is_named() {
        let scratch = Scratch::new();
        let (home, place) = (scratch.join("home"), scratch.join("home/target/bench"));
        create_dir_all(&place).unwrap();
        for folder in [scratch.path(), &home, &scratch.join("home/target"), &place] {
            set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(closed_above(&place), None);
        set_permissions(&home, Permissions::from_mode(0o700)).unwrap();
        assert_eq!(closed_above(&place), Some(home));
    }
}
