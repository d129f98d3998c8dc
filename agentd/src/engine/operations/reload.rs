//! A configuration that was read again: what may change in a running daemon does.

use std::sync::atomic::Ordering;

use agentd_schemas::problem::Problem;

use crate::domain::{Command, Defaults};
use crate::engine::Engine;
use crate::engine::supervise::Bounds;
use crate::policy::Caller;

impl Engine {
    /// Other defaults and bounds count from now on; what was decided stays.
    pub fn reconfigure(&self, defaults: Defaults, bounds: Bounds) {
        self.0.defaults.set(defaults);
        if let Some(supervisor) = &self.0.supervisor {
            supervisor.bounds.set(bounds);
            supervisor.look_round();
        }
        // What was found out with the old ones is looked at again: who is able to what, and who waits for money.
        self.0.agents_changed.fetch_add(1, Ordering::Relaxed);
        self.0.limits_changed.store(true, Ordering::Relaxed);
        self.0.timer.notify_one();
    }

    /// Puts on record that the configuration was read again: the digest of what is in force, the options that changed, and
    /// those that count from the next start.
    pub async fn record_reload(
        &self,
        digest: String,
        changed: Vec<String>,
        pending: Vec<String>,
    ) -> Result<(), Problem> {
        let command = Command::RecordReload { configuration: digest, changed, pending };
        self.execute(&Caller::host(), command, None).await.map(drop)
    }
}
