//! Being told to stop: once to finish what is under way, twice to give it up.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Failure, said};

/// How often somebody asked to stop.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<u32>);

impl Stop {
    /// Counts SIGTERM and SIGINT from now on.
    pub(crate) fn on_signals() -> Result<Self, Failure> {
        let failed = |error| Failure::local(format!("cannot listen for signals: {}", said(&error)));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let (count, stop) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                count.send_modify(|times| *times += 1);
                match *count.borrow() {
                    1 => super::log("asked to stop: no new work, what is under way is finished; once more gives it up"),
                    _ => super::log("asked to stop again: what is under way is given up"),
                }
            }
        });
        Ok(Self(stop))
    }

    /// Whether somebody asked.
    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow() >= 1
    }

    /// Resolves when somebody asks.
    pub(crate) async fn asked(&self) {
        self.times(1).await;
    }

    /// Resolves when somebody asks a second time.
    pub(crate) async fn urged(&self) {
        self.times(2).await;
    }

    async fn times(&self, times: u32) {
        if self.0.clone().wait_for(|asked| *asked >= times).await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }
}
