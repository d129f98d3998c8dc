//! Metrics for Prometheus: `GET /metrics` on a unix socket, in the text format 0.0.4.
//!
//! What is measured counts everybody's works, so it is for operators and auditors: who connects is asked of the kernel,
//! as at every door, and policy decides. No label has a value that works or their owners choose.

mod text;

use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::time::Duration;

use agentd_schemas::problem::{Code, Problem};
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::Callers;
use super::http::serve::{LAST_ANSWERS, REFUSED_PAUSE, connection};
use super::inside;
use super::places::Places;
use super::stop::stopped;
use crate::engine::Engine;
use crate::engine::meters::Doorway;
use crate::policy::Caller;
use crate::sys::peer::Peer;

/// Connections at a time, at most.
const MAX_CONNECTIONS: usize = 16;
/// Connections of one uid, at most.
const SHARE: usize = 4;
/// How long a connection lasts, at most: a scrape is over in milliseconds.
const MAX_CONNECTION_TIME: Duration = Duration::from_secs(30);
/// What the answer is, as Prometheus knows it.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves the socket until `stop` turns true or its sender is gone. The listener does not block.
pub async fn serve(
    engine: Engine,
    listener: StdUnixListener,
    callers: watch::Receiver<Callers>,
    mut stop: watch::Receiver<bool>,
) {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("the socket of metrics cannot be served: {error}"),
    };
    let router = Router::new()
        .route("/metrics", get(metrics))
        .fallback(async || StatusCode::NOT_FOUND)
        .with_state(engine.clone());
    let turned_away = Arc::new(Semaphore::new(inside::MAX_TURNED_AWAY));
    let places = Places::new(MAX_CONNECTIONS, SHARE, 0);
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
                tracing::warn!("a connection to the socket of metrics could not be accepted: {error}");
                tokio::time::sleep(REFUSED_PAUSE).await;
                continue;
            }
        };
        let peer = match Peer::of(&stream) {
            Ok(peer) => peer,
            Err(error) => {
                tracing::debug!("a connection to the socket of metrics was closed: {error}");
                continue;
            }
        };
        let caller = callers.borrow().of_peer(&peer);
        let Some(place) = places.take(caller.uid, false) else {
            tracing::debug!(
                "a connection of uid {} to the socket of metrics was closed: too many are open",
                caller.uid
            );
            continue;
        };
        let (engine, router, turned_away, stop) = (engine.clone(), router.clone(), turned_away.clone(), stop.clone());
        open.spawn(async move {
            match inside::outside(&engine, peer, "the door of metrics").await {
                Ok(()) => {
                    let _inside = engine.meters().enter(Doorway::Metrics);
                    let served = connection(stream, caller, router, stop);
                    // Who keeps it longer than that is not told why: it said nothing.
                    let _ = tokio::time::timeout(MAX_CONNECTION_TIME, served).await;
                    drop(place);
                }
                Err(why) => {
                    drop(place);
                    if let Ok(_few) = turned_away.try_acquire() {
                        inside::turn_away(&why, stream).await;
                    }
                }
            }
        });
    }
    let _ = tokio::time::timeout(LAST_ANSWERS, async { while open.join_next().await.is_some() {} }).await;
}

async fn metrics(State(engine): State<Engine>, Extension(caller): Extension<Caller>) -> Response {
    match engine.measures(&caller) {
        Ok(measures) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text::text(&measures)).into_response(),
        Err(problem) => (status(&problem), Json(problem)).into_response(),
    }
}

fn status(problem: &Problem) -> StatusCode {
    match problem.code {
        Code::Denied => StatusCode::FORBIDDEN,
        Code::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
