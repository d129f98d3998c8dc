//! Artefacts: raw bytes, streamed to disk, whose length is known before they come.

use std::time::Duration;

use agentd_schemas::event::ArtefactRef;
use agentd_schemas::http::run::RunArtefacts;
use agentd_schemas::problem::{Code, Problem};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::routing::{get, post};
use http_body_util::BodyExt as _;
use serde::Deserialize;

use super::Door;
use super::speaker::{Run, blocking};
use crate::api::http::answer::{Answer, Json};
use crate::engine::operations::artefacts::Incoming;

/// How long a client may be silent within an artefact.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a whole artefact may take.
const ARTEFACT_TIME: Duration = Duration::from_secs(600);

pub(super) fn routes() -> Router<Door> {
    Router::new().route("/v1/run/artefact", post(artefact)).route("/v1/run/artefacts", get(artefacts))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

async fn artefacts(State(door): State<Door>, run: Run) -> Answer<RunArtefacts> {
    Ok(Json(RunArtefacts { artefacts: door.engine.artefacts_of(&run.caller, &run.door)? }))
}

async fn artefact(
    State(door): State<Door>,
    run: Run,
    named: Result<Query<Named>, QueryRejection>,
    request: Request,
) -> Answer<ArtefactRef> {
    let Query(Named { name }) = named.map_err(|error| {
        Problem::new(Code::InvalidDocument, format!("the artefact has no name: {}", error.body_text()))
            .hint("POST /v1/run/artefact?name=report.txt")
    })?;
    // A request without a length is read as one without a body.
    let announced = request.headers().contains_key(CONTENT_LENGTH);
    let body = request.into_body();
    let bytes = body.size_hint().exact().filter(|_| announced).ok_or_else(|| {
        Problem::new(Code::InvalidDocument, "an artefact needs a content-length")
            .hint("send it as one body of known length, as curl --data-binary @FILE does")
    })?;
    let begun = blocking(move || door.engine.take_artefact(&run.caller, &run.door, &name, bytes)).await?;
    let taken = tokio::time::timeout(ARTEFACT_TIME, take(begun, body)).await;
    let late = || late(ARTEFACT_TIME);
    Ok(Json(taken.map_err(|_| late())??))
}

/// Takes the bytes as they come. Only who has some for the disk holds a thread.
async fn take(mut incoming: Incoming, mut body: Body) -> Result<ArtefactRef, Problem> {
    loop {
        let frame = tokio::time::timeout(SILENCE, body.frame()).await.map_err(|_| late(SILENCE))?;
        let Some(frame) = frame else { break };
        let frame =
            frame.map_err(|error| Problem::new(Code::InvalidDocument, format!("the body cannot be read: {error}")))?;
        let bytes: Bytes = frame.into_data().unwrap_or_default();
        incoming = blocking(move || incoming.write(&bytes).map(|()| incoming)).await?;
    }
    blocking(move || incoming.finish()).await
}

fn late(time: Duration) -> Problem {
    Problem::new(Code::InvalidDocument, format!("the artefact did not arrive within {} seconds", time.as_secs()))
}
