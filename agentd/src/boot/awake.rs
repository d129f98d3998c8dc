//! The machine does not go to sleep by itself while runs work, as long as it is fed from outside. logind holds it awake for
//! whoever holds a descriptor that it gave out; closing it is letting go.

use std::time::Duration;

use tokio::sync::watch;
use zbus::Connection;
use zbus::connection::Builder;

use crate::engine::Engine;
use crate::sys::power::is_on_mains;

/// How often power and runs are looked at while there are runs. Those that begin and end are told at once.
const LOOK: Duration = Duration::from_secs(30);
/// How long logind gets to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// What is asked for, the most first. A service outside of a session of the person at the machine may not hold off all of
/// it: logind's defaults leave it what happens by itself when nobody uses the machine.
const ASKED: [&str; 2] = ["sleep:idle", "idle"];

/// The part of logind that holds sleep off.
#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Manager {
    /// Holds `what` off until the descriptor is closed.
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zbus::Result<zbus::OwnedFd>;
}

/// Holds sleep off while runs work, until the daemon stops.
pub(super) async fn keep(engine: Engine, mut stopped: watch::Receiver<bool>) {
    let mut size = engine.size();
    let mut held: Option<zbus::OwnedFd> = None;
    // What logind refused is asked for again when runs begin anew.
    let mut refused = false;
    while !*stopped.borrow() {
        let (living, working) = engine.runs_under_way();
        let works = working > 0;
        refused &= works;
        if !(works && is_on_mains()) {
            held = None;
        } else if held.is_none() && !refused {
            held = inhibit().await;
            refused = held.is_none();
        }
        tokio::select! {
            changed = size.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK), if living > 0 => {}
            _ = stopped.changed() => {}
        }
    }
}

async fn inhibit() -> Option<zbus::OwnedFd> {
    match tokio::time::timeout(ANSWER, ask()).await {
        Ok(Ok((what, held))) => {
            tracing::debug!("runs work: {what} of the machine is held off");
            Some(held)
        }
        Ok(Err(error)) => {
            tracing::info!("runs work, and nothing holds sleep of the machine off: {error}");
            None
        }
        Err(_) => {
            tracing::info!("runs work, and nothing holds sleep of the machine off: logind does not answer");
            None
        }
    }
}

async fn ask() -> zbus::Result<(&'static str, zbus::OwnedFd)> {
    let connection: Connection = Builder::system().build().await?;
    let manager = ManagerProxy::new(&connection).await?;
    let [most, least] = ASKED;
    let inhibit = |what| manager.inhibit(what, "agentd", "runs of AI agents work", "block");
    match inhibit(most).await {
        Ok(held) => Ok((most, held)),
        Err(_) => Ok((least, inhibit(least).await?)),
    }
}
