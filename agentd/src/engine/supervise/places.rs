//! How many runs there may be at a time, and whose turn it is.

use agentd_schemas::id::RunId;
use tokio::sync::watch;

use std::sync::Arc;

use super::{Phase, Supervisor, UnderWay};

/// A place among the runs that are under way; it is free again when this is dropped.
pub(super) struct Place {
    supervisor: Arc<Supervisor>,
    run: RunId,
    told: Arc<watch::Sender<()>>,
}

impl Place {
    /// All who listen hear that something happened.
    pub(super) fn tell(&self) {
        self.told.send_replace(());
    }

    /// Hears from now on when something happens to the run's work, to its agent or to the host. Who listens before it
    /// looks misses nothing.
    pub(super) fn listen(&self) -> watch::Receiver<()> {
        self.told.subscribe()
    }

    /// Says what the run does now.
    pub(super) fn phase(&self, phase: Phase) {
        self.supervisor.with(|runs| {
            if let Some(run) = runs.get_mut(&self.run) {
                run.phase = phase;
            }
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.supervisor.with(|runs| runs.remove(&self.run));
        self.supervisor.wake.notify_one();
    }
}

impl Supervisor {
    /// How many more runs may begin, on the whole host.
    pub(super) fn room(&self) -> u32 {
        let under_way = u32::try_from(self.with(|runs| runs.len())).unwrap_or(u32::MAX);
        self.bounds.get().most.saturating_sub(under_way)
    }

    /// Whether one more run of an owner may begin.
    pub(super) fn has_room(&self, owner: u32) -> bool {
        let own = self.with(|runs| runs.values().filter(|run| run.owner == owner).count());
        u32::try_from(own).unwrap_or(u32::MAX) < self.bounds.get().most_per_owner
    }

    /// Takes a place for a run; none when it has one already.
    pub(super) fn place(self: &Arc<Self>, run: RunId, owner: u32) -> Option<Place> {
        let told = Arc::new(watch::Sender::new(()));
        let under_way = UnderWay { owner, phase: Phase::Preparing, told: told.clone() };
        let is_new = self.with(|runs| match runs.entry(run) {
            std::collections::btree_map::Entry::Occupied(_) => false,
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(under_way);
                true
            }
        });
        is_new.then(|| Place { supervisor: self.clone(), run, told })
    }
}
