//! `/v1/run` and what is below it, artefacts apart.

use agentd_schemas::http::run::{
    RunChildren, RunCost, RunDocument, RunFail, RunFinish, RunFinished, RunNote, RunProgress, RunReserve,
};
use agentd_schemas::http::{Completed, Health, RunStatus};
use agentd_schemas::view::SubmittedView;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};

use super::Door;
use super::speaker::{Run, blocking};
use crate::api::http::answer::{Answer, Json};
use crate::api::http::health::of;
use crate::api::http::request::Document;

pub(super) fn routes() -> Router<Door> {
    Router::new()
        .route("/v1/health", get(health))
        .route("/v1/run", get(show))
        .route("/v1/run/progress", post(progress))
        .route("/v1/run/cost", post(cost))
        .route("/v1/run/reserve", post(reserve))
        .route("/v1/run/note", post(note))
        .route("/v1/run/ask", post(ask))
        .route("/v1/run/children", post(children))
        .route("/v1/run/finish", post(finish))
        .route("/v1/run/fail", post(fail))
}

async fn health(State(door): State<Door>) -> Answer<Health> {
    Ok(Json(of(&door.engine)))
}

async fn show(State(door): State<Door>, run: Run) -> Answer<RunDocument> {
    Ok(Json(door.engine.shown(&run.caller, &run.door)?))
}

async fn progress(State(door): State<Door>, run: Run, Document(said): Document<RunProgress>) -> Answer<RunStatus> {
    Ok(Json(door.engine.progress(&run.caller, &run.door, said.text)?))
}

async fn cost(State(door): State<Door>, run: Run, Document(cost): Document<RunCost>) -> Answer<RunStatus> {
    Ok(Json(door.engine.spent(&run.caller, &run.door, cost).await?))
}

async fn reserve(State(door): State<Door>, run: Run, Document(asked): Document<RunReserve>) -> Answer<RunStatus> {
    Ok(Json(door.engine.set_aside(&run.caller, &run.door, asked).await?))
}

async fn note(State(door): State<Door>, run: Run, Document(note): Document<RunNote>) -> Answer<RunStatus> {
    Ok(Json(door.engine.noted(&run.caller, &run.door, note).await?))
}

async fn ask(State(door): State<Door>, run: Run, Document(note): Document<RunNote>) -> Answer<RunStatus> {
    Ok(Json(door.engine.asked(&run.caller, &run.door, note).await?))
}

async fn children(State(door): State<Door>, run: Run, Document(parts): Document<RunChildren>) -> Answer<SubmittedView> {
    Ok(Json(door.engine.parts(&run.caller, &run.door, parts).await?))
}

async fn finish(State(door): State<Door>, run: Run, Document(finish): Document<RunFinish>) -> Answer<RunFinished> {
    Ok(Json(blocking(move || door.engine.finish(&run.caller, &run.door, finish.result)).await?))
}

async fn fail(State(door): State<Door>, run: Run, Document(fail): Document<RunFail>) -> Answer<Completed> {
    Ok(Json(door.engine.given_up(&run.caller, &run.door, fail).await?))
}
