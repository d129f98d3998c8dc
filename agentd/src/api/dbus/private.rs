//! The private socket: D-Bus between two processes, without a bus.

use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use zbus::connection::Builder;
use zbus::{Connection, Guid};

use super::door::Door;
use super::polkit::Subject;
use super::serve;
use super::socket::Socket;
use crate::api::places::Places;
use crate::api::stop::stopped;
use crate::api::{Callers, inside};
use crate::engine::Engine;
use crate::engine::meters::Doorway;
use crate::sys::peer::Peer;

/// Connections of everybody at a time, at most.
const MAX_CONNECTIONS: usize = 224;
/// Connections of one uid that is no operator, at most.
const SHARE: usize = 32;
/// Connections beside them that only operators may have: they get in, however many others are there.
const OPERATORS_ALONE: usize = 32;
/// How long a client may take to say the words with which D-Bus begins.
const HANDSHAKE: Duration = Duration::from_secs(2);
/// How long open calls get to be answered once the daemon stops.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// The pause after the system refused a connection, mostly for want of descriptors.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Serves the socket until `stop` turns true or its sender is gone; open calls are answered first.
///
/// The listener does not block; who may connect to it is the matter of its owner and mode.
pub async fn serve_private(
    engine: Engine,
    listener: StdUnixListener,
    callers: watch::Receiver<Callers>,
    mut stop: watch::Receiver<bool>,
) {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("the operators' socket cannot be served: {error}"),
    };
    let places = Places::new(MAX_CONNECTIONS, SHARE, OPERATORS_ALONE);
    let turned_away = Arc::new(Semaphore::new(inside::MAX_TURNED_AWAY));
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stopped(&mut stop) => break,
            _ = open.join_next(), if !open.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("a connection to the operators' socket could not be accepted: {error}");
                tokio::time::sleep(REFUSED_PAUSE).await;
                continue;
            }
        };
        // Who connected is asked of the kernel here, before a byte is read, and holds for as long as the connection.
        let peer = match Peer::of(&stream) {
            Ok(peer) => peer,
            Err(error) => {
                tracing::debug!("a connection to the operators' socket was closed: {error}");
                continue;
            }
        };
        let caller = callers.borrow().of_peer(&peer);
        let held = peer.held().map(Arc::new);
        let proved_as = callers.borrow().must_prove(&caller).then_some(Subject::Process(held, caller.uid));
        let Some(place) = places.take(caller.uid, caller.operator) else {
            tracing::debug!("a connection of uid {} was closed: too many are open", caller.uid);
            continue;
        };
        let (engine, turned_away, stop) = (engine.clone(), turned_away.clone(), stop.clone());
        open.spawn(async move {
            let ended = match inside::outside(&engine, peer, "the operators' door").await {
                Ok(()) => {
                    let _inside = engine.meters().enter(Doorway::Control);
                    connection(stream, Arc::new(Door::of_peer(engine.clone(), caller, proved_as)), stop).await
                }
                Err(why) => {
                    // Those who are heard keep their places.
                    drop(place);
                    let Ok(_few) = turned_away.try_acquire() else { return };
                    let said = connection(stream, Arc::new(Door::of_nobody(engine, why)), stop);
                    tokio::time::timeout(inside::TURNED_AWAY_TIME, said).await.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = ended {
                tracing::debug!("a connection to the operators' socket ended: {error}");
            }
        });
    }
    let _ = tokio::time::timeout(LAST_ANSWERS, async { while open.join_next().await.is_some() {} }).await;
}

async fn connection(stream: UnixStream, door: Arc<Door>, mut stop: watch::Receiver<bool>) -> zbus::Result<()> {
    let connection = greet(stream, door.clone()).await?;
    tokio::select! {
        () = connection.closed() => {}
        () = stopped(&mut stop) => {
            door.followers.end();
            connection.graceful_shutdown().await;
        }
    }
    Ok(())
}

/// The handshake, and the interfaces in place behind it.
pub(super) async fn greet(stream: UnixStream, door: Arc<Door>) -> zbus::Result<Connection> {
    let builder = Builder::socket(Socket::new(stream)).server(Guid::generate()).p2p();
    match tokio::time::timeout(HANDSHAKE, serve(builder, &door).build()).await {
        Ok(connection) => connection,
        Err(_) => Err(zbus::Error::Handshake(format!("not over within {} seconds", HANDSHAKE.as_secs()))),
    }
}
