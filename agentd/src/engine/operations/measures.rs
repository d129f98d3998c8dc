//! What the host measures of itself, for who watches it: counts of everybody's works, so for operators and auditors.

use agentd_schemas::problem::Problem;
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::StatusView;

use crate::engine::Engine;
use crate::engine::meters::Reading;
use crate::ledger::query;
use crate::ledger::writer::MAILBOX;
use crate::policy::{Action, Caller, Resource};
use crate::sys::process::{self, Usage};

/// Everything that is measured.
#[derive(Debug, Clone)]
pub struct Measures {
    /// As `agentctl status` shows it, for who sees everything.
    pub status: StatusView,
    /// What is counted since the start.
    pub counted: Reading,
    /// What the process uses.
    pub process: Usage,
    /// Now.
    pub now: WallMs,
    /// Since when the work waits that has waited longest for a person.
    pub oldest_waiting: Option<WallMs>,
    /// Events below the signed checkpoint.
    pub signed_events: u64,
    /// Runs and works under a lease.
    pub leases: u64,
    /// Commands that wait for the writer, and places there.
    pub mailbox: (usize, usize),
    /// The highest burn rate of an objective over the last day, in percent.
    pub burn_day_percent: u64,
    /// The same over the last week.
    pub burn_week_percent: u64,
}

impl Engine {
    /// Measures the host, for who may see everything.
    pub fn measures(&self, caller: &Caller) -> Result<Measures, Problem> {
        self.permit(caller, Action::HostMeasure, &Resource::host())?;
        let status = self.status(caller)?;
        let now = self.now();
        let (objectives, signed_events, oldest_waiting) = self.0.readers.with(|conn| {
            let objectives = query::plans::objectives(conn, &caller.viewer(), now)?;
            Ok((objectives, query::ledger::signed_size(conn)?, query::host::oldest_waiting(conn)?))
        })?;
        let highest = |rates: &dyn Fn(&agentd_schemas::view::ObjectiveView) -> Option<u64>| {
            objectives.iter().filter_map(rates).max().unwrap_or(0)
        };
        Ok(Measures {
            burn_day_percent: highest(&|view| view.burn_rate_day_percent),
            burn_week_percent: highest(&|view| view.burn_rate_week_percent),
            counted: self.0.meters.read(),
            process: process::usage().map_err(Problem::internal)?,
            leases: u64::try_from(self.0.live.all().len()).unwrap_or(u64::MAX),
            mailbox: (self.0.mailbox()?.depth(), MAILBOX),
            status,
            now,
            signed_events,
            oldest_waiting,
        })
    }
}
