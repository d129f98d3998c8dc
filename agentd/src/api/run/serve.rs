//! The sockets of runs: each open door is listened at until it is closed.

use std::collections::HashMap;
use std::sync::Arc;

use agentd_schemas::id::RunId;
use axum::Router;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::router;
use super::speaker::{Speaker, refuse};
use crate::api::accept::{accept, last_answers};
use crate::api::http::serve::connection;
use crate::api::places::{Place, Places};
use crate::api::stop::stopped;
use crate::engine::Engine;
use crate::engine::doors::{Open, RunDoor};
use crate::sys::peer::Peer;

/// Connections of all runs at a time, at most.
const MAX_CONNECTIONS: usize = 2048;
/// Connections of one run, at most.
const MAX_OF_ONE_RUN: usize = 32;

/// Connections at all doors that are told no, because their uid is not the run's, at a time.
const MAX_STRANGERS: usize = 32;
/// The same of one uid.
const MAX_OF_ONE_STRANGER: usize = 4;

/// A door that is served; it stops when this is told, or dropped.
struct Served {
    door: Arc<RunDoor>,
    _stop: watch::Sender<bool>,
}

/// What the doors share.
#[derive(Clone)]
struct House {
    engine: Engine,
    router: Router,
    places: Places<RunId>,
    /// Places of those who have not the run's uid, by theirs: they are told no, and take none of a run's.
    strangers: Places<u32>,
}

/// Serves the doors of runs as they open and close, until `stop` turns true or its sender is gone.
pub async fn serve(engine: Engine, mut stop: watch::Receiver<bool>) {
    if let Err(error) = engine.ready_artefacts() {
        tracing::warn!("the folder of artefacts cannot be used: {error}");
    }
    let mut doors = engine.doors();
    let places = Places::new(MAX_CONNECTIONS, MAX_OF_ONE_RUN, 0);
    let strangers = Places::new(MAX_STRANGERS, MAX_OF_ONE_STRANGER, 0);
    let house = House { router: router(engine.clone()), engine, places, strangers };
    let mut served: HashMap<RunId, Served> = HashMap::new();
    let mut open = JoinSet::new();
    loop {
        follow(&house, &doors.borrow_and_update(), &mut served, &mut open);
        tokio::select! {
            () = stopped(&mut stop) => break,
            _ = open.join_next(), if !open.is_empty() => {}
            changed = doors.changed() => if changed.is_err() { break },
        }
    }
    served.clear();
    last_answers(open).await;
}

/// Begins to serve what was opened, and stops what was closed.
fn follow(house: &House, now: &Open, served: &mut HashMap<RunId, Served>, open: &mut JoinSet<()>) {
    served.retain(|run, served| now.get(run).is_some_and(|door| Arc::ptr_eq(door, &served.door)));
    for (run, door) in now {
        if served.contains_key(run) {
            continue;
        }
        let (stop, stopped) = watch::channel(false);
        let listener = door.take_listener().map(UnixListener::from_std);
        match listener {
            Some(Ok(listener)) => drop(open.spawn(listen(house.clone(), door.clone(), listener, stopped))),
            Some(Err(error)) => tracing::error!("the socket of run {run} cannot be served: {error}"),
            None => tracing::error!("the socket of run {run} is served by somebody else"),
        }
        served.insert(*run, Served { door: door.clone(), _stop: stop });
    }
}

/// Takes the connections of one door.
async fn listen(house: House, door: Arc<RunDoor>, listener: UnixListener, mut stop: watch::Receiver<bool>) {
    let run = door.run();
    let stopping = stop.clone();
    accept(listener, &format!("the socket of run {run}"), &mut stop, |stream, peer| {
        // Told apart here, so that a stranger takes none of the run's places.
        let place = if peer.uid == door.what.uid {
            let Some(place) = house.places.take(run, false) else {
                tracing::debug!("a connection to the socket of run {run} was closed: too many are open");
                return None;
            };
            Some(place)
        } else {
            None
        };
        let (house, door, stopping) = (house.clone(), door.clone(), stopping.clone());
        Some(async move {
            match place {
                Some(place) => visit(house, &door, &peer, stream, stopping, place).await,
                None => house.stranger(&door, peer.uid, stream).await,
            }
        })
    })
    .await;
}

/// One connection: who it is first, before a byte is read.
async fn visit(
    house: House,
    door: &Arc<RunDoor>,
    peer: &Peer,
    stream: UnixStream,
    stop: watch::Receiver<bool>,
    place: Place<RunId>,
) {
    match Speaker::of(door, peer).await {
        Some(speaker) => connection(stream, speaker, house.router, stop).await,
        None => {
            // The run keeps its places.
            drop(place);
            house.stranger(door, peer.uid, stream).await;
        }
    }
}

impl House {
    /// Tells a stranger no, where few others are told. All are on record.
    async fn stranger(&self, door: &RunDoor, uid: u32, stream: UnixStream) {
        match self.strangers.take(uid, false) {
            Some(_place) => refuse(&self.engine, door, uid, stream).await,
            None => self.engine.not_of_this_run(uid, door.run()),
        }
    }
}
