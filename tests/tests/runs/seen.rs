//! What is seen of works, of their folders and of the processes of their runs.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::scene::Scene;

/// How long a run may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

impl Scene {
    /// Waits until something is so.
    pub(crate) fn eventually<T>(&self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}\n{}\n{}", self.works(), self.daemon.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Every work and why it is where it is, as far as the daemon answers.
    fn works(&self) -> String {
        let listed = self.agentctl(&["work", "list", "--quiet"]);
        let mut told = String::new();
        for id in String::from_utf8_lossy(&listed.stdout).lines() {
            for about in [&["why", id][..], &["work", "show", id]] {
                told.push_str(&String::from_utf8_lossy(&self.agentctl(about).stdout));
            }
        }
        told
    }

    /// Something stays so for so many milliseconds.
    pub(crate) fn throughout(&self, ms: u64, what: &str, mut is_so: impl FnMut() -> bool) {
        let until = Instant::now() + Duration::from_millis(ms);
        while Instant::now() < until {
            assert!(is_so(), "{what}\n{}", self.daemon.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a work is in a state from which it does not move by itself, which must be this one.
    pub(crate) fn until(&self, id: &str, state: &str) -> Value {
        let operator = self.operator();
        let work = self.eventually(&format!("work {id} to be {state}"), || {
            let work = operator.work(id);
            let now = work["state"].as_str().unwrap().to_owned();
            let settled = ["completed", "failed", "cancelled", "expired"].contains(&now.as_str());
            (now == state || settled).then_some(work)
        });
        assert_eq!(work["state"], state, "{work:#}\n{}", self.daemon.log());
        work
    }

    /// A work of one attempt that fails; how, and what is said of it.
    pub(crate) fn fails(&self, id: &str) -> (String, String) {
        let work = self.until(id, "failed");
        let run = work["runs"].as_array().unwrap().iter().find(|run| run["failure"].is_string()).unwrap();
        let text = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
        (text("failure"), text("message"))
    }

    /// The folder of a run of a work.
    pub(crate) fn folder(&self, id: &str, attempt: u32) -> PathBuf {
        self.daemon.state().join("runs").join(format!("{id}.{attempt}"))
    }

    /// Waits for a file in the workspace of a run.
    pub(crate) fn until_workspace_has(&self, id: &str, name: &str) {
        let file = self.folder(id, 1).join("workspace").join(name);
        self.eventually(&file.display().to_string(), || file.exists().then_some(()));
    }

    /// Living processes of a run's program: those with its name in their environment, or the mark in their arguments.
    pub(crate) fn processes(&self, id: &str) -> Vec<i32> {
        let run = format!("AGENTD_RUN={id}.");
        let has = |pid: i32, file: &str, word: &str| {
            let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            text.windows(word.len()).any(|part| part == word.as_bytes())
        };
        every_process().filter(|pid| has(*pid, "environ", &run) || has(*pid, "cmdline", &self.mark)).collect()
    }

    /// Those that are the script itself: what it calls comes and goes.
    pub(crate) fn shells(&self, id: &str) -> Vec<i32> {
        let name = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        self.processes(id).into_iter().filter(|pid| name(pid).trim() == "run.sh").collect()
    }

    /// No process of a run is left.
    pub(crate) fn nothing_is_left(&self, id: &str) {
        self.eventually("the processes of the run to be gone", || self.processes(id).is_empty().then_some(()));
    }

    /// The shim of a step, once it says that its program began.
    pub(crate) fn shim(&self, id: &str, step: &str) -> i32 {
        let file = self.folder(id, 1).join(step).join("started.json");
        self.eventually("the shim", || {
            let started: Value = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
            i32::try_from(started["shim"].as_i64()?).ok()
        })
    }

    /// How often the launcher of a step of a run was started.
    pub(crate) fn launches(&self, id: &str, step: &str) -> usize {
        let lines = fs::read_to_string(self.control("launched")).unwrap_or_default();
        lines.lines().filter(|line| line.ends_with(&format!("/{step}")) && line.contains(id)).count()
    }
}

/// Ids of all processes.
pub(crate) fn every_process() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
