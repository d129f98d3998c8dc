//! `GET /v1/health`: whether anybody is there, and who. Needs no token.

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::Door;
use super::answer::{Answer, Json};
use crate::engine::Engine;
use agentd_schemas::http::Health;

pub(super) fn routes() -> Router<Door> {
    Router::new().route("/v1/health", get(health))
}

async fn health(State(door): State<Door>) -> Answer<Health> {
    Ok(Json(of(&door.engine)))
}

/// Who is there, at whichever door.
pub(in crate::api) fn of(engine: &Engine) -> Health {
    let host = engine.host();
    Health {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        origin: host.origin.clone(),
        trust_domain: host.trust_domain.clone(),
    }
}
