//! `agentd.toml`. Every option has a default; `agentd config` prints them all, `docs/configuration.md` explains them.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use agentd_schemas::strict;
use agentd_schemas::unit::duration::Span;
use agentd_schemas::unit::money::Usd;
use agentd_schemas::unit::owner::Owner;
use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::runs::RunsConfig;
use crate::domain::Defaults;

/// Bytes of a configuration file, at most.
const MAX_CONFIG_BYTES: u64 = 256 << 10;

/// Levels of the daemon's own log.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// The configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which bus is served besides the private socket.
    pub mode: Mode,
    /// Host part of agent ids; counts at the first start alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_domain: Option<String>,
    /// IANA name of the host's zone; the system's by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The folder of the host's policies; `policies.d` beside this file by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policies: Option<PathBuf>,
    /// Where the doors are.
    pub sockets: Sockets,
    /// Users, by name or uid, where nobody sits: what they do is `unattended` in the ledger, and they judge nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub automation_users: Vec<Owner>,
    /// Who is more than a user.
    pub groups: Groups,
    /// Bounds and defaults of work, agents and money.
    pub limits: Limits,
    /// Agents that the daemon starts.
    pub runs: RunsConfig,
    /// The daemon's own log.
    pub log: Log,
}

/// Which bus is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// None: the private socket alone, for one user.
    #[default]
    Private,
    /// The session bus, for one user.
    Session,
    /// The system bus, for all users of the host.
    System,
}

impl Mode {
    /// As status shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Session => "session",
            Self::System => "system",
        }
    }
}

/// Where the doors are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sockets {
    /// Operators' door; `control.sock` in the runtime directory by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<PathBuf>,
    /// Agents' door; `agents.sock` in the runtime directory by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agents: Option<PathBuf>,
    /// Metrics for Prometheus; `metrics.sock` in the runtime directory in mode `system`, none in others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<PathBuf>,
}

/// Groups of the host that are more than users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Groups {
    /// Members may do everything that a person may do.
    pub operators: String,
    /// Members may see everything.
    pub auditors: String,
    /// Members may use agentd where it serves the whole host; in the other modes everybody who reaches it may.
    pub users: String,
}

impl Default for Groups {
    fn default() -> Self {
        let name = |name: &str| name.to_owned();
        Self { operators: name("agentd-operator"), auditors: name("agentd-audit"), users: name("agentd") }
    }
}

/// Bounds and defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Attempts of a work that says nothing, 1 to 100.
    pub max_attempts: u32,
    /// Works that are not over, on the whole host.
    pub max_open_works: u64,
    /// Works of one owner that are not over.
    pub max_open_works_per_owner: u64,
    /// Lease without a heartbeat, when the agent says nothing, 5s to 1h.
    pub lease: Span,
    /// First backoff after a failed attempt; it doubles each time.
    pub backoff: Span,
    /// Longest backoff.
    pub max_backoff: Span,
    /// Owner's money a day, unless set for the owner.
    pub owner_cost_per_day: Usd,
    /// Owner's money a month, unless set for the owner.
    pub owner_cost_per_month: Usd,
    /// Host's money a day, unless set.
    pub host_cost_per_day: Usd,
    /// Judged works that end a probation and let evidence speak, 1 to 1000.
    pub judged_works: u64,
    /// Lower confidence bound at which a skill counts as demonstrated, 0 to 100.
    pub skill_bound_percent: u32,
    /// Failures in a row after which an agent is paused, 1 to 1000.
    pub failures_in_a_row: u32,
    /// Agents on the host, retired ones not counted.
    pub max_agents: u64,
    /// Those of one owner.
    pub max_agents_per_owner: u64,
    /// Schedules on the host.
    pub max_schedules: u64,
    /// Those of one owner.
    pub max_schedules_per_owner: u64,
    /// Objectives of one owner.
    pub max_objectives: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let defaults = Defaults::default();
        let span = |ms| Span::from_ms(ms).unwrap_or(Span::ZERO);
        let usd = |micro| agentd_schemas::unit::money::MicroUsd::new(micro).map(Usd).unwrap_or_default();
        Self {
            max_attempts: defaults.max_attempts,
            max_open_works: defaults.max_open_works,
            max_open_works_per_owner: defaults.max_open_works_per_owner,
            lease: span(defaults.lease_ms),
            backoff: span(defaults.backoff_ms),
            max_backoff: span(defaults.max_backoff_ms),
            owner_cost_per_day: usd(defaults.owner_day_micro_usd),
            owner_cost_per_month: usd(defaults.owner_month_micro_usd),
            host_cost_per_day: usd(defaults.host_day_micro_usd),
            judged_works: defaults.judged_works,
            skill_bound_percent: defaults.skill_bound_percent,
            failures_in_a_row: defaults.failures_in_a_row,
            max_agents: defaults.max_agents,
            max_agents_per_owner: defaults.max_agents_per_owner,
            max_schedules: defaults.max_schedules,
            max_schedules_per_owner: defaults.max_schedules_per_owner,
            max_objectives: defaults.max_objectives,
        }
    }
}

/// The daemon's own log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,agentd::engine=debug`.
    pub level: String,
    /// Where it goes.
    pub to: LogTarget,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), to: LogTarget::Auto }
    }
}

/// Where the daemon's log goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogTarget {
    /// The journal when stderr is connected to it, else stderr.
    #[default]
    Auto,
    /// Stderr.
    Stderr,
    /// The journal.
    Journal,
}

impl Config {
    /// Reads a file. The error names the place and the way out.
    pub fn read(path: &std::path::Path) -> anyhow::Result<Self> {
        let meta =
            std::fs::metadata(path).with_context(|| format!("configuration {} cannot be read", path.display()))?;
        if meta.is_file() && meta.mode() & 0o002 != 0 {
            let path = path.display();
            bail!("configuration {path} can be written by everybody, and says who may do what; run: chmod o-w {path}");
        }
        if meta.len() > MAX_CONFIG_BYTES {
            bail!("configuration {} is larger than {MAX_CONFIG_BYTES} bytes", path.display());
        }
        let bytes = std::fs::read(path).with_context(|| format!("configuration {} cannot be read", path.display()))?;
        let config: Self = strict::toml::from_slice(&bytes, &strict::Limits::DEFAULT).map_err(|error| {
            let said = error.to_string();
            let hint = error.hint().filter(|hint| !said.contains(*hint));
            let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            anyhow!("configuration {}: {said}{hint}", path.display())
        })?;
        config.check().with_context(|| format!("configuration {}", path.display()))?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        let limits = &self.limits;
        let within = |name: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(anyhow!("{name} {value} is outside {least} to {most}"))
            }
        };
        within("max_attempts", u64::from(limits.max_attempts), 1, 100)?;
        lasts("limits.lease", limits.lease, 5_000, 3_600_000)?;
        lasts("limits.backoff", limits.backoff, 1, 86_400_000)?;
        lasts("limits.max_backoff", limits.max_backoff, limits.backoff.as_ms(), 86_400_000)?;
        within("judged_works", limits.judged_works, 1, 1_000)?;
        within("skill_bound_percent", u64::from(limits.skill_bound_percent), 0, 100)?;
        within("failures_in_a_row", u64::from(limits.failures_in_a_row), 1, 1_000)?;
        self.runs.check()?;
        if let Some(folder) = self.policies.as_ref().filter(|folder| !folder.is_absolute()) {
            bail!("policies {} is no absolute path", folder.display());
        }
        check_level(&self.log.level)
    }

    /// The part that the rules know.
    pub fn defaults(&self) -> Defaults {
        let limits = &self.limits;
        Defaults {
            max_attempts: limits.max_attempts,
            max_open_works: limits.max_open_works,
            max_open_works_per_owner: limits.max_open_works_per_owner,
            lease_ms: limits.lease.as_ms(),
            backoff_ms: limits.backoff.as_ms(),
            max_backoff_ms: limits.max_backoff.as_ms(),
            owner_day_micro_usd: limits.owner_cost_per_day.0.as_micro(),
            owner_month_micro_usd: limits.owner_cost_per_month.0.as_micro(),
            host_day_micro_usd: limits.host_cost_per_day.0.as_micro(),
            judged_works: limits.judged_works,
            skill_bound_percent: limits.skill_bound_percent,
            failures_in_a_row: limits.failures_in_a_row,
            max_agents: limits.max_agents,
            max_agents_per_owner: limits.max_agents_per_owner,
            max_schedules: limits.max_schedules,
            max_schedules_per_owner: limits.max_schedules_per_owner,
            max_objectives: limits.max_objectives,
        }
    }
}

/// Refuses a duration outside its bounds, all three as people write them.
pub(super) fn lasts(name: &str, value: Span, least: u64, most: u64) -> anyhow::Result<()> {
    if (least..=most).contains(&value.as_ms()) {
        return Ok(());
    }
    let span = |ms| Span::from_ms(ms).unwrap_or(Span::ZERO);
    Err(anyhow!("{name} {value} is outside {} to {}", span(least), span(most)))
}

/// Refuses what the filter would take for the name of a place in the code, and be silent about everything.
fn check_level(text: &str) -> anyhow::Result<()> {
    let known = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    for part in text.split(',') {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level).trim();
        let silent = part.contains('=') && level.eq_ignore_ascii_case("off");
        if !known(level) && !silent {
            return Err(anyhow!(
                "log.level {text:?}: {level:?} is no level; levels are {}, for a part of agentd: info,agentd::engine=debug",
                LEVELS.join(", ")
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused_and_the_levels_are_named() {
        for level in ["info", "WARN", "info,agentd::engine=debug", "debug,zbus=off"] {
            assert!(check_level(level).is_ok(), "{level}");
        }
        for level in ["loud", "", "info,agentd::engine", "info,zbus=quiet", "off"] {
            let said = check_level(level).unwrap_err().to_string();
            assert!(said.contains("error, warn, info, debug, trace"), "{said}");
        }
    }

    #[test]
    fn a_duration_outside_its_bounds_is_told_as_it_was_written() {
        let mut config = Config::default();
        config.limits.lease = Span::from_ms(4_000).unwrap();
        assert_eq!(config.check().unwrap_err().to_string(), "limits.lease 4s is outside 5s to 1h");
    }

    #[test]
    fn the_defaults_of_the_file_are_the_defaults_of_the_rules() {
        assert_eq!(Config::default().defaults(), Defaults::default());
    }

    #[test]
    fn the_printed_configuration_reads_back_as_itself() {
        let text = toml::to_string(&Config::default()).unwrap();
        let read: Config = strict::toml::from_slice(text.as_bytes(), &strict::Limits::DEFAULT).unwrap();
        assert_eq!(read, Config::default());
    }

    #[test]
    fn an_unknown_option_names_the_nearest() {
        let error = strict::toml::from_slice::<Config>(b"[limits]\nmax_atempts = 3\n", &strict::Limits::DEFAULT);
        assert!(error.unwrap_err().to_string().contains("max_attempts"));
    }
}
