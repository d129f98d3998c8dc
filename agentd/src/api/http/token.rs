//! `POST /v1/challenge` and `POST /v1/token`: an agent proves that it has its key. These two need no token.

use agentd_schemas::http::{ChallengeRequest, ChallengeResponse, TokenRequest, TokenResponse};
use axum::Router;
use axum::extract::State;
use axum::routing::post;

use super::Door;
use super::answer::{Answer, Json};
use super::request::{Document, PeerUid};

pub(super) fn routes() -> Router<Door> {
    Router::new().route("/v1/challenge", post(challenge)).route("/v1/token", post(token))
}

async fn challenge(
    State(door): State<Door>,
    PeerUid(uid): PeerUid,
    Document(request): Document<ChallengeRequest>,
) -> Answer<ChallengeResponse> {
    Ok(Json(door.engine.agent_challenge(uid, &request)?))
}

async fn token(
    State(door): State<Door>,
    PeerUid(uid): PeerUid,
    Document(request): Document<TokenRequest>,
) -> Answer<TokenResponse> {
    Ok(Json(door.engine.agent_token(uid, &request)?))
}
