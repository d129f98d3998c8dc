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
use super::serve;
use super::socket::Socket;
use crate::api::Callers;
use crate::api::stop::stopped;
use crate::engine::Engine;
use crate::sys::peer::{Peer, PeerError};

/// Connections at a time, at most.
const MAX_CONNECTIONS: usize = 256;
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
    callers: Callers,
    mut stop: watch::Receiver<bool>,
) {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("the operators' socket cannot be served: {error}"),
    };
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
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
        let Ok(permit) = room.clone().try_acquire_owned() else {
            tracing::debug!("a connection to the operators' socket was closed: {MAX_CONNECTIONS} are open");
            continue;
        };
        let (engine, stop) = (engine.clone(), stop.clone());
        open.spawn(async move {
            if let Err(error) = connection(stream, engine, callers, stop).await {
                tracing::debug!("a connection to the operators' socket ended: {error}");
            }
            drop(permit);
        });
    }
    let _ = tokio::time::timeout(LAST_ANSWERS, async { while open.join_next().await.is_some() {} }).await;
}

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// The kernel does not say who it is.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// It did not come through the handshake.
    #[error(transparent)]
    Handshake(#[from] zbus::Error),
}

/// Who connected is asked of the kernel here, before a byte is read, and holds for as long as the connection.
async fn connection(
    stream: UnixStream,
    engine: Engine,
    callers: Callers,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Ended> {
    let peer = Peer::of(&stream)?;
    let connection = greet(stream, Arc::new(Door::of_peer(engine, callers.of_peer(&peer)))).await?;
    tokio::select! {
        () = connection.closed() => {}
        () = stopped(&mut stop) => connection.graceful_shutdown().await,
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
