//! `POST /v1/claim`: work, as soon as there is some.

use agentd_schemas::http::ClaimRequest;
use agentd_schemas::problem::{Code, Problem};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::Door;
use super::answer::{Json, Refusal, nothing};
use super::request::{Agent, Document};
use crate::api::stop::stopped;

pub(super) fn routes() -> Router<Door> {
    Router::new().route("/v1/claim", post(claim))
}

/// Waits as long as it was asked to. The wait ends with the connection, because the server then drops this future, and
/// with the daemon.
async fn claim(
    State(mut door): State<Door>,
    Agent(caller): Agent,
    Document(request): Document<ClaimRequest>,
) -> Result<Response, Refusal> {
    let claimed = tokio::select! {
        biased;
        claimed = door.engine.claim(&caller, &request) => claimed?,
        () = stopped(&mut door.stop) => {
            return Err(Problem::new(Code::Stopping, "agentd is stopping").hint("claim again when it is back").into());
        }
    };
    Ok(claimed.map_or_else(nothing, |claim| Json(claim).into_response()))
}
