//! The way in at every socket: connections are taken until the daemon stops, of each the kernel is asked who it is before a byte of
//! it is read, and those that are open at the end are waited for, for a while.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use agentd_schemas::problem::Problem;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::inside;
use super::places::{Place, Places};
use super::stop::stopped;
use crate::engine::Engine;
use crate::engine::meters::Doorway;
use crate::sys::peer::Peer;

/// How long open requests get to be answered once the daemon stops.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// The pause after the system refused a connection, mostly for want of descriptors.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Takes the connections of a socket, which is `named` so in the log, until `stop` turns true or its sender is gone. `visit` says
/// what becomes of one, and what it does not take is closed.
pub(super) async fn accept<V>(
    listener: UnixListener,
    named: &str,
    stop: &mut watch::Receiver<bool>,
    mut visit: impl FnMut(UnixStream, Peer) -> Option<V>,
) where
    V: Future<Output = ()> + Send + 'static,
{
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stopped(stop) => break,
            _ = open.join_next(), if !open.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("a connection to {named} could not be accepted: {error}");
                tokio::time::sleep(REFUSED_PAUSE).await;
                continue;
            }
        };
        // What the kernel says holds for as long as the connection.
        match Peer::of(&stream) {
            Ok(peer) => {
                if let Some(visit) = visit(stream, peer) {
                    open.spawn(visit);
                }
            }
            Err(error) => tracing::debug!("a connection to {named} was closed: {error}"),
        }
    }
    // Who comes now is the next daemon's.
    drop(listener);
    last_answers(open).await;
}

/// Waits until what is open has been answered, for a while.
pub(super) async fn last_answers(mut open: JoinSet<()>) {
    let _ = tokio::time::timeout(LAST_ANSWERS, async { while open.join_next().await.is_some() {} }).await;
}

/// A door at which everybody is heard who is of no run, as far as there are places.
#[derive(Clone)]
pub(super) struct OpenDoor {
    engine: Engine,
    /// `the operators' door`.
    name: &'static str,
    way: Doorway,
    places: Places<u32>,
    turned_away: Arc<Semaphore>,
}

impl OpenDoor {
    /// A door, whose visitors are counted as this way's.
    pub(super) fn new(engine: Engine, name: &'static str, way: Doorway, places: Places<u32>) -> Self {
        Self { engine, name, way, places, turned_away: Arc::new(Semaphore::new(inside::MAX_TURNED_AWAY)) }
    }

    /// A place for somebody; a full house says nothing.
    pub(super) fn place(&self, uid: u32, operator: bool) -> Option<Place<u32>> {
        let place = self.places.take(uid, operator);
        if place.is_none() {
            tracing::debug!("a connection of uid {uid} to {} was closed: too many are open", self.name);
        }
        place
    }

    /// Has somebody served: heard, or told why it is not, which is a run's answer. Few are told at a time, and the rest is closed.
    pub(super) async fn receive<S>(self, peer: Peer, place: Place<u32>, serve: impl FnOnce(Result<(), Problem>) -> S)
    where
        S: Future<Output = ()>,
    {
        match inside::outside(&self.engine, peer, self.name).await {
            Ok(()) => {
                let _inside = self.engine.meters().enter(self.way);
                serve(Ok(())).await;
                drop(place);
            }
            Err(why) => {
                // Those who are heard keep their places.
                drop(place);
                if let Ok(_few) = self.turned_away.try_acquire() {
                    serve(Err(why)).await;
                }
            }
        }
    }
}
