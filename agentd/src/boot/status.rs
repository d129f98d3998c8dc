//! The line of `systemctl status`: what is under way, and what waits for a person.

use std::time::Duration;

use tokio::sync::watch;

use crate::engine::Engine;
use crate::sys::sd_notify::Notifier;

/// The line is as old as this, at most, and no newer is sent before.
const PAUSE: Duration = Duration::from_secs(3);

/// Tells the line whenever it is another one, until `stop` turns true or its sender is gone.
pub(super) async fn tell(engine: Engine, notifier: Notifier, mut stop: watch::Receiver<bool>) {
    if !notifier.is_managed() {
        return;
    }
    let mut size = engine.size();
    let mut told = String::new();
    loop {
        size.borrow_and_update();
        match engine.in_short() {
            Ok(line) if line != told => match notifier.status(&line) {
                Ok(()) => told = line,
                Err(error) => tracing::debug!("the status was not told: {error}"),
            },
            Ok(_) => {}
            Err(problem) => tracing::debug!("the status cannot be read: {problem}"),
        }
        // What changes the line is an event, or something of the daemon itself; the latter is seen at the next event.
        for waits in [true, false] {
            tokio::select! {
                changed = size.changed(), if waits => if changed.is_err() { return },
                () = tokio::time::sleep(PAUSE), if !waits => {}
                stopped = stop.wait_for(|stop| *stop) => {
                    drop(stopped);
                    return;
                }
            }
        }
    }
}
