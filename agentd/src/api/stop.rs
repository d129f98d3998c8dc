//! The end of the daemon, as the doors wait for it.

use tokio::sync::watch;

/// Waits until the value turns true, or until nobody is left to turn it.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Both ways it is time to stop.
    drop(stop.wait_for(|stop| *stop).await);
}
