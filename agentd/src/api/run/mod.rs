//! The door of a run that agentd started: HTTP/1.1 with JSON on a socket that is in the run's sandbox.
//!
//! Whoever speaks there is the run. No token is needed, and none would help: the kernel says that the process has the
//! run's uid and is below the run's shim, before a byte is read. Somebody else is refused, and that is on record. The door
//! closes with the lease, and what is said over it is under the fence of that lease.
//!
//! Invariant: nothing that comes through this door acts on another run, or decides what persons decide.

mod artefacts;
mod nearest;
mod routes;
mod serve;
mod speaker;
#[cfg(test)]
mod tests;

use axum::Router;

pub use serve::serve;

use crate::engine::Engine;

/// What the handlers share.
#[derive(Clone)]
struct Door {
    engine: Engine,
}

/// All routes of the door.
fn router(engine: Engine) -> Router {
    Router::new()
        .merge(routes::routes())
        .merge(artefacts::routes())
        .fallback(nearest::no_such_path)
        .method_not_allowed_fallback(nearest::no_such_method)
        .with_state(Door { engine })
}
