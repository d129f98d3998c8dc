//! The socket of the agents' door, and the connections on it.

use std::os::unix::net::UnixListener as StdUnixListener;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tower_service::Service as _;

use super::request::PeerUid;
use super::rest::Shared;
use super::{Door, router};
use crate::api::accept::{OpenDoor, accept};
use crate::api::inside;
use crate::api::places::Places;
use crate::api::stop::stopped;
use crate::engine::Engine;
use crate::engine::meters::Doorway;

/// Connections at a time, at most.
const MAX_CONNECTIONS: usize = 1024;
/// Connections of one uid, the daemon's own and root apart, at most.
const SHARE: usize = 256;
/// Connections beside them for root and the daemon's own uid alone.
const OPERATORS_ALONE: usize = 32;
/// How long a client may take from connecting, or from the answer before, to the end of its headers.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// Headers of one request, at most.
const MAX_HEADERS: usize = 64;
/// Bytes of all headers of one request, at most.
const MAX_HEADER_BYTES: usize = 16 << 10;

/// Serves the socket until `stop` turns true or its sender is gone; open requests are answered first, and claims that
/// wait are told that the daemon is stopping.
///
/// The listener does not block; who may connect to it is the matter of its owner and mode.
pub async fn serve(engine: Engine, listener: StdUnixListener, own_uid: u32, mut stop: watch::Receiver<bool>) {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("the agents' socket cannot be served: {error}"),
    };
    let router = router(Door { engine: engine.clone(), stop: stop.clone() });
    let door = OpenDoor::new(
        engine,
        "the agents' door",
        Doorway::Agents,
        Places::new(MAX_CONNECTIONS, SHARE, OPERATORS_ALONE),
    );
    let stopping = stop.clone();
    accept(listener, "the agents' socket", &mut stop, |stream, peer| {
        let uid = peer.uid;
        let place = door.place(uid, uid == 0 || uid == own_uid)?;
        let (router, stopping) = (router.clone(), stopping.clone());
        Some(door.clone().receive(peer, place, async move |admitted| match admitted {
            Ok(()) => connection(stream, PeerUid(uid), router, stopping).await,
            Err(why) => inside::turn_away(&why, stream).await,
        }))
    })
    .await;
}

/// Answers the requests of one connection. `who` is what was learned of the client when it was accepted; each request
/// carries it.
pub(in crate::api) async fn connection<W>(stream: UnixStream, who: W, router: Router, mut stop: watch::Receiver<bool>)
where
    W: Clone + Send + Sync + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(who.clone());
        let (parts, body) = request.into_parts();
        let (body, mut router) = (Shared::new(body), router.clone());
        async move {
            let answer = router.call(Request::from_parts(parts, Body::new(body.clone()))).await;
            body.drop_rest().await;
            answer
        }
    });
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut http = std::pin::pin!(http);
    let ended = tokio::select! {
        ended = http.as_mut() => ended,
        () = stopped(&mut stop) => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection of an agent ended: {error}");
    }
}
