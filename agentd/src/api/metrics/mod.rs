//! Metrics for Prometheus: `GET /metrics` on a unix socket, in the text format 0.0.4.
//!
//! What is measured counts everybody's works, so it is for operators and auditors: who connects is asked of the kernel,
//! as at every door, and policy decides. No label has a value that works or their owners choose.

mod text;

use std::os::unix::net::UnixListener as StdUnixListener;
use std::time::Duration;

use agentd_schemas::problem::{Code, Problem};
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::UnixListener;
use tokio::sync::watch;

use super::Callers;
use super::accept::{OpenDoor, accept};
use super::http::serve::connection;
use super::inside;
use super::places::Places;
use crate::engine::Engine;
use crate::engine::meters::Doorway;
use crate::policy::Caller;

/// Connections at a time, at most.
const MAX_CONNECTIONS: usize = 16;
/// Connections of one uid, at most.
const SHARE: usize = 4;
/// Places beside those, for operators and auditors alone: who scrapes gets in, whoever else holds the door.
const WATCHERS_ALONE: usize = 4;
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
    let places = Places::new(MAX_CONNECTIONS, SHARE, WATCHERS_ALONE);
    let door = OpenDoor::new(engine, "the door of metrics", Doorway::Metrics, places);
    let stopping = stop.clone();
    accept(listener, "the socket of metrics", &mut stop, |stream, peer| {
        let caller = callers.borrow().of_peer(&peer);
        let place = door.place(caller.uid, caller.operator || caller.auditor)?;
        let (router, stopping) = (router.clone(), stopping.clone());
        Some(door.clone().receive(peer, place, async move |admitted| match admitted {
            Ok(()) => {
                let served = connection(stream, caller, router, stopping);
                // Who keeps it longer than that is not told why: it said nothing.
                let _ = tokio::time::timeout(MAX_CONNECTION_TIME, served).await;
            }
            Err(why) => inside::turn_away(&why, stream).await,
        }))
    })
    .await;
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
