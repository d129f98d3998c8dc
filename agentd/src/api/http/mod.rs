//! The agents' door: HTTP/1.1 with JSON on a unix socket, usable with `curl --unix-socket`.
//!
//! The kernel names the uid of a connection when it is accepted, and a bearer token is good for that uid alone. One
//! group of routes is one file; each handler reads a document, calls one operation of the engine and writes the answer.
//!
//! Invariant: every answer is JSON or empty, every error is a [`Problem`], and what a client sends is bounded in
//! headers, bytes and time before it is looked at.

pub(super) mod answer;
mod claim;
pub(super) mod health;
mod nearest;
pub(super) mod request;
mod rest;
mod runs;
pub(super) mod serve;
#[cfg(test)]
mod tests;
mod token;

use axum::Router;
use tokio::sync::watch;

pub use serve::serve;

use crate::engine::Engine;

/// What the handlers share.
#[derive(Clone)]
struct Door {
    engine: Engine,
    stop: watch::Receiver<bool>,
}

/// All routes of the door.
fn router(door: Door) -> Router {
    Router::new()
        .merge(health::routes())
        .merge(token::routes())
        .merge(claim::routes())
        .nest("/v1/runs/{run}", runs::routes())
        .fallback(nearest::no_such_path)
        .method_not_allowed_fallback(nearest::no_such_method)
        .with_state(door)
}
