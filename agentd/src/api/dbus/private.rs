//! The private socket: D-Bus between two processes, without a bus.

use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use zbus::connection::Builder;
use zbus::{Connection, Guid};

use super::door::Door;
use super::polkit::Subject;
use super::serve;
use super::socket::Socket;
use crate::api::accept::{OpenDoor, accept};
use crate::api::places::Places;
use crate::api::stop::stopped;
use crate::api::{Callers, inside};
use crate::engine::Engine;
use crate::engine::meters::Doorway;

/// Connections of everybody at a time, at most.
const MAX_CONNECTIONS: usize = 224;
/// Connections of one uid that is no operator, at most.
const SHARE: usize = 32;
/// Connections beside them that only operators may have: they get in, however many others are there.
const OPERATORS_ALONE: usize = 32;
/// How long a client may take to say the words with which D-Bus begins.
const HANDSHAKE: Duration = Duration::from_secs(2);

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
    let open = OpenDoor::new(
        engine.clone(),
        "the operators' door",
        Doorway::Control,
        Places::new(MAX_CONNECTIONS, SHARE, OPERATORS_ALONE),
    );
    let stopping = stop.clone();
    accept(listener, "the operators' socket", &mut stop, |stream, peer| {
        let caller = callers.borrow().of_peer(&peer);
        let place = open.place(caller.uid, caller.operator)?;
        let held = peer.held().map(Arc::new);
        let proved_as = callers.borrow().must_prove(&caller).then_some(Subject::Process(held, caller.uid));
        let (engine, stopping) = (engine.clone(), stopping.clone());
        Some(open.clone().receive(peer, place, async move |admitted| {
            let ended = match admitted {
                Ok(()) => connection(stream, Arc::new(Door::of_peer(engine, caller, proved_as)), stopping).await,
                Err(why) => {
                    let said = connection(stream, Arc::new(Door::of_nobody(engine, why)), stopping);
                    tokio::time::timeout(inside::TURNED_AWAY_TIME, said).await.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = ended {
                tracing::debug!("a connection to the operators' socket ended: {error}");
            }
        }))
    })
    .await;
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
