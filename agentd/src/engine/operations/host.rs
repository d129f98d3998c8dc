//! The host: status, freezes, the clock, accounts, the digest.

use agentd_schemas::document::request::{AccountLimit, Scope};
use agentd_schemas::id::RunId;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::{AccountView, DigestView, FreezeReport, StatusView};
use rusqlite::Connection;

use crate::domain::Command;
use crate::domain::account::Limit;
use crate::domain::command::RunRef;
use crate::domain::work::frozen::covers;
use crate::engine::supervise::Supervisor;
use crate::engine::{Engine, LiveRun};
use crate::ledger::query;
use crate::ledger::query::named::Named;
use crate::policy::{Action, Caller, Resource};
use crate::sys::{directory::Directory, process};

/// Free disk below which status warns, in percent.
pub const LOW_DISK_PERCENT: u32 = 10;

/// Whether a freeze covers a run.
pub fn is_frozen(frozen: &[Scope], run: &LiveRun) -> bool {
    frozen.iter().any(|scope| covers(scope, run.run.work, &run.agent))
}

/// A run in the words that its reader may know.
fn seen(conn: &Connection, caller: &Caller, run: &RunRef, agent: &Slug) -> Result<Option<String>, Problem> {
    let id = RunId { work: run.work, attempt: run.attempt };
    Ok(query::host::run_as_seen(conn, &caller.viewer(), id, agent)?)
}

impl Engine {
    /// How the host is.
    pub fn status(&self, caller: &Caller) -> Result<StatusView, Problem> {
        self.permit(caller, Action::HostRead, &Resource::host())?;
        let (day, _) = self.today();
        let host = self.host();
        let disk_free_percent = self.disk_free_percent();
        let mut critical = Vec::new();
        if disk_free_percent < LOW_DISK_PERCENT {
            critical.push(format!("only {disk_free_percent} % of the disk is free"));
        }
        if self.0.clock_held.load(std::sync::atomic::Ordering::Relaxed) {
            critical.push(
                "the wall clock jumped: schedules and deadlines are held (agentctl clock accept --reason '…')"
                    .to_owned(),
            );
        }
        let supervisor = self.0.supervisor.as_ref();
        critical.extend(supervisor.map(|supervisor| supervisor.why_none_begins()).unwrap_or_default());
        // Where nothing but the old policies counts, work goes on.
        let shut = self.policies().is_shut();
        critical.extend(self.policy_complaint().filter(|_| shut));
        // Others work on meanwhile.
        let mut warnings = self.0.complaints.lines();
        warnings.extend(self.policy_complaint().filter(|_| !shut));
        let held_back = supervisor.and_then(|supervisor| supervisor.why_held_back());
        warnings.extend(held_back.filter(|line| !critical.contains(line)));
        // What was written lately is in the file beside it.
        let files = ["ledger.db", "ledger.db-wal"].map(|name| std::fs::metadata(host.state.join(name)));
        let running = query::host::Running {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: host.since,
            now: self.now(),
            mode: host.mode.to_owned(),
            critical,
            warnings,
            memory_bytes: process::resident_bytes().unwrap_or(0),
            database_bytes: files.into_iter().flatten().map(|meta| meta.len()).sum(),
            disk_free_percent,
            denials: self.0.denials.counts(),
            reads: self.0.reads.counts(),
            runs: self.0.supervisor.as_deref().map(Supervisor::view).unwrap_or_default(),
        };
        self.0.readers.with(|conn| {
            let parked = self.0.parked(conn)?;
            let parked = |queue: i64| parked.contains(&queue);
            Ok(query::host::status(conn, &caller.viewer(), &day, &parked, running, &self.0.defaults.get())?)
        })
    }

    fn disk_free_percent(&self) -> u32 {
        let free = Directory::open(&self.host().state).and_then(|directory| directory.free_space());
        free.map_or(0, |free| u32::from(free.percent()))
    }

    /// Stops starts and runs in a scope.
    pub async fn freeze(&self, caller: &Caller, scope: Scope, reason: &str) -> Result<FreezeReport, Problem> {
        let command = Command::Freeze { scope: scope.clone(), reason: reason.to_owned() };
        self.execute(caller, command, None).await?;
        self.freeze_report(caller, &scope)
    }

    /// How a freeze stands: which living runs, of those that the caller may know of, confirmed that they stand still.
    pub fn freeze_report(&self, caller: &Caller, scope: &Scope) -> Result<FreezeReport, Problem> {
        match scope {
            Scope::All => self.permit(caller, Action::HostRead, &Resource::host()).map(drop)?,
            Scope::Work(id) => self.read(caller, Named::Work(&id.to_string())).map(drop)?,
            Scope::Agent(name) => self.read(caller, Named::Agent(name.as_str())).map(drop)?,
        }
        let under: Vec<LiveRun> =
            self.0.live.all().into_iter().filter(|run| covers(scope, run.run.work, &run.agent)).collect();
        let ending = self.0.live.unheard(self.0.clock.boot_ms()).into_iter();
        let ending: Vec<_> = ending.filter(|(run, agent)| covers(scope, run.work, agent)).collect();
        let mut report = FreezeReport { runs: 0, confirmed: 0, unconfirmed: Vec::new(), ending: Vec::new() };
        self.0.readers.with(|conn| {
            for run in under {
                let Some(words) = seen(conn, caller, &run.run, &run.agent)? else { continue };
                report.runs += 1;
                if run.frozen {
                    report.confirmed += 1;
                } else {
                    report.unconfirmed.push(words);
                }
            }
            for (run, agent) in ending {
                report.ending.extend(seen(conn, caller, &run, &agent)?);
            }
            Ok(report)
        })
    }

    /// Ends a freeze.
    pub async fn thaw(&self, caller: &Caller, scope: Scope) -> Result<(), Problem> {
        self.execute(caller, Command::Thaw { scope }, None).await.map(drop)
    }

    /// Lets wall-time triggers go on.
    pub async fn accept_clock(&self, caller: &Caller, reason: &str) -> Result<(), Problem> {
        self.execute(caller, Command::AcceptClock { reason: reason.to_owned() }, None).await.map(drop)
    }

    /// What happened since a time.
    pub fn digest(&self, caller: &Caller, since: WallMs) -> Result<DigestView, Problem> {
        self.permit(caller, Action::HostExamine, &Resource::host())?;
        let until = self.now();
        if since > until {
            return Err(Problem::new(Code::InvalidDocument, format!("{since} is in the future"))
                .hint("for example: --since yesterday"));
        }
        let (first_day, _) = crate::engine::world::names(since.as_ms(), &self.0.zone);
        let (last_day, _) = crate::engine::world::names(until.as_ms(), &self.0.zone);
        self.0.readers.with(|conn| {
            let parked = self.0.parked(conn)?;
            let defaults = &self.0.defaults.get();
            let window = query::host::Window { since, until, first_day: &first_day, last_day: &last_day, defaults };
            Ok(query::host::digest(conn, &caller.viewer(), window, &|queue| parked.contains(&queue))?)
        })
    }

    /// Accounts that the caller may see, in their current periods.
    pub fn accounts(&self, caller: &Caller) -> Result<Vec<AccountView>, Problem> {
        self.permit(caller, Action::HostExamine, &Resource::host())?;
        let (day, month) = self.today();
        self.0.readers.with(|conn| {
            let today = query::host::Today { day: &day, month: &month };
            Ok(query::host::accounts(conn, &caller.viewer(), &self.0.defaults.get(), today)?)
        })
    }

    /// Sets the limits of an account.
    pub async fn set_account_limit(&self, caller: &Caller, limit: AccountLimit) -> Result<(), Problem> {
        let AccountLimit { account, period, max_cost, max_tokens, no_max_cost, no_max_tokens, declared } = limit;
        let micro_usd = Limit::asked("max_cost", max_cost.map(|cost| cost.0.as_micro()), no_max_cost)?;
        let tokens = Limit::asked("max_tokens", max_tokens, no_max_tokens)?;
        let command = Command::SetAccountLimit { account, period, micro_usd, tokens, declared };
        self.execute(caller, command, None).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
