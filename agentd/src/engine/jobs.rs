//! The loops that run beside the doors: timers, the outbox, checkpoints of the WAL, the record of refusals.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Engine, supervise, timers};
use crate::ledger::open::{fold_wal, open_writer};

/// WAL pages above which the WAL is folded into the database: 4 MiB.
const FOLD_PAGES: u64 = 1024;

/// The running loops.
pub struct Jobs {
    stop: watch::Sender<bool>,
    timers: JoinHandle<()>,
    runs: JoinHandle<()>,
    folding: Option<std::thread::JoinHandle<()>>,
}

impl Jobs {
    /// Starts them.
    pub fn start(engine: &Engine) -> Self {
        let (stop, stopped) = watch::channel(false);
        let timers = tokio::spawn(timers::run(engine.clone(), stopped.clone()));
        let runs = tokio::spawn(supervise::run(engine.clone(), stopped.clone()));
        let folding = start_folding(engine, stopped);
        Self { stop, timers, runs, folding }
    }

    /// Stops them and waits for what they are doing.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let _ = (&mut self.runs).await;
        let _ = (&mut self.timers).await;
        if let Some(thread) = self.folding.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// Folds the WAL from a thread of its own, so that no commit pays for it.
fn start_folding(engine: &Engine, stopped: watch::Receiver<bool>) -> Option<std::thread::JoinHandle<()>> {
    let database = engine.host().state.join("ledger.db");
    let fold = move || {
        let Ok(conn) = open_writer(&database) else {
            tracing::warn!("the WAL cannot be folded into {}: it will grow", database.display());
            return;
        };
        let wal = database.with_extension("db-wal");
        // Said once, until it works again: a disk stays full for longer than that.
        let mut failed = false;
        while !*stopped.borrow() {
            let bytes = std::fs::metadata(&wal).map_or(0, |meta| meta.len());
            if bytes > FOLD_PAGES * 4096 {
                let folded = fold_wal(&conn);
                if let Err(error) = &folded
                    && !failed
                {
                    tracing::warn!("folding the WAL failed, and is tried again: {error}");
                }
                failed = folded.is_err();
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    std::thread::Builder::new().name("wal-folding".to_owned()).spawn(fold).ok()
}
