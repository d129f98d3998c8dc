//! SIGHUP: the configuration is read again. What may change in a running daemon does, at once; of the rest it is said that a
//! restart takes it over. A file that cannot be read changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use toml::{Table, Value};

use super::args::Args;
use super::config::{Config, Mode};
use super::paths;
use super::telemetry::Filter;
use crate::api::Callers;
use crate::engine::health::About;
use crate::engine::{Engine, message_ids};
use crate::policy::Caller;
use crate::sys::sd_notify::{Notifier, NotifyError};

/// Options, and sections with a dot behind them, that count as soon as they are read.
const LIVE: &[&str] = &[
    "limits.",
    "groups.",
    "automation_users",
    "log.level",
    "runs.max",
    "runs.max_per_owner",
    "runs.max_upload",
    "runs.timeout",
    "runs.least_level",
    "runs.keep_workspaces",
    "runs.keep_uploads",
    "runs.keep_artefacts",
];
/// Options that one event names, at most.
const MAX_NAMED: usize = 64;

/// Every option by its name: `limits.max_attempts`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Options(BTreeMap<String, Value>);

/// What is different in another configuration.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    /// Counts at once.
    live: Vec<String>,
    /// Counts from the next start.
    pending: Vec<String>,
}

impl Options {
    /// Those of a configuration, with the defaults.
    pub(super) fn of(config: &Config) -> anyhow::Result<Self> {
        let mut options = BTreeMap::new();
        flatten("", Table::try_from(config)?, &mut options);
        Ok(Self(options))
    }

    /// SHA-256 (hex) of all options, each on a line.
    pub(super) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (name, value) in &self.0 {
            hash.update(format!("{name} = {value}\n"));
        }
        data_encoding::HEXLOWER.encode(&hash.finalize())
    }

    /// Takes over what may change, and says what is different.
    fn take_over(&mut self, next: &Self) -> Difference {
        let mut difference = Difference::default();
        let names: BTreeSet<String> = self.0.keys().chain(next.0.keys()).cloned().collect();
        for name in names {
            let (old, new) = (self.0.get(&name), next.0.get(&name));
            if old == new {
                continue;
            }
            if !is_live(&name) {
                difference.pending.push(name);
                continue;
            }
            match new.cloned() {
                Some(value) => self.0.insert(name.clone(), value),
                None => self.0.remove(&name),
            };
            difference.live.push(name);
        }
        difference
    }
}

fn is_live(name: &str) -> bool {
    LIVE.iter().any(|live| *live == name || live.ends_with('.') && name.starts_with(live))
}

fn flatten(before: &str, table: Table, into: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let name = format!("{before}{key}");
        match value {
            Value::Table(section) => flatten(&format!("{name}."), section, into),
            value => {
                into.insert(name, value);
            }
        }
    }
}

/// What a reload changes.
pub(super) struct Reload<'a> {
    /// Where the file is.
    pub(super) args: &'a Args,
    /// Whom the daemon serves, since its start. What the file says of it now counts for nothing else that it says.
    pub(super) mode: Mode,
    /// What is in force.
    pub(super) options: Options,
    /// Behind the doors.
    pub(super) engine: Engine,
    /// Who is more than a user.
    pub(super) callers: watch::Sender<Callers>,
    /// What the daemon's own log tells.
    pub(super) filter: Filter,
    /// Who is told.
    pub(super) notifier: Notifier,
}

impl Reload<'_> {
    /// Reads the configuration again. The service manager is told when that begins and when it is over, also when it failed:
    /// the daemon serves on either way.
    pub(super) async fn again(&mut self) {
        tell(self.notifier.reloading());
        match self.read() {
            Ok(difference) => {
                self.engine.is_well(About::Configuration);
                self.say(&difference).await;
            }
            Err(error) => {
                let line = format!("the configuration could not be read again, and the one before counts: {error:#}");
                tracing::error!("{line}");
                self.engine.complain(About::Configuration, line);
            }
        }
        // Whatever the configuration says: the log, the ledger and the status of the host tell what comes of it.
        let _ = self.engine.reload_policies(&Caller::host()).await;
        tell(self.notifier.ready());
    }

    /// All that can fail comes before anything changes.
    fn read(&mut self) -> anyhow::Result<Difference> {
        let mut config = paths::config(self.args)?;
        let next = Options::of(&config)?;
        config.mode = self.mode;
        let callers = super::groups::callers(&config, &self.engine)?;
        self.filter.set(&config.log.level).context("log.level")?;
        self.callers.send_replace(callers);
        self.engine.reconfigure(config.defaults(), config.runs.bounds());
        Ok(self.options.take_over(&next))
    }

    async fn say(&self, difference: &Difference) {
        let named = |names: &[String]| names.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>();
        let (changed, pending) = (named(&difference.live), named(&difference.pending));
        if changed.is_empty() && pending.is_empty() {
            return tracing::info!(
                MESSAGE_ID = message_ids::DAEMON_RELOADED,
                "the configuration was read again: nothing in it is different"
            );
        }
        if !changed.is_empty() {
            tracing::info!(
                MESSAGE_ID = message_ids::DAEMON_RELOADED,
                "the configuration was read again, this counts from now on: {}",
                changed.join(", ")
            );
        }
        if !pending.is_empty() {
            tracing::warn!("this counts from the next start, restart agentd: {}", pending.join(", "));
        }
        if let Err(problem) = self.engine.record_reload(self.options.digest(), changed, pending).await {
            tracing::error!("that the configuration was read again could not be recorded: {problem}");
        }
    }
}

/// A manager that does not listen is no reason to do anything else.
fn tell(told: Result<(), NotifyError>) {
    if let Err(error) = told {
        tracing::warn!("the service manager was not told: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Options {
        Options::of(&toml::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn what_may_change_is_taken_over_and_what_may_not_stays_and_is_named_each_time() {
        let mut in_force = options("");
        let before = in_force.digest();
        let next = options(
            "mode = \"session\"\n[limits]\nmax_attempts = 9\n[runs]\nmax = 3\ntasks_max = 7\n[log]\nlevel = \"warn\"\n\
             [runs.profiles.rust]\nread_only_paths = [\"/opt\"]\n",
        );
        let difference = in_force.take_over(&next);
        assert_eq!(difference.live, ["limits.max_attempts", "log.level", "runs.max"]);
        assert_eq!(difference.pending, ["mode", "runs.profiles.rust.read_only_paths", "runs.tasks_max"]);
        assert_ne!(in_force.digest(), before);
        let again = in_force.take_over(&next);
        assert_eq!((again.live.len(), again.pending), (0, difference.pending));
        in_force.take_over(&options(""));
        assert_eq!(in_force.digest(), before, "all is as at the start");
    }

    #[test]
    fn every_option_that_counts_at_once_exists() {
        let all = options("automation_users = [1]\n[runs]\nmax = 1\nmax_per_owner = 1\n");
        for live in LIVE {
            assert!(all.0.keys().any(|name| name == live || live.ends_with('.') && name.starts_with(live)), "{live}");
        }
    }
}
