//! `POST /v1/runs/{run}/…`: everything about a run that holds a lease.

use agentd_schemas::http::{Children, Complete, Completed, Cost, Fail, Fenced, Heartbeat, Note, Reserve, RunStatus};
use agentd_schemas::view::SubmittedView;
use axum::Router;
use axum::extract::State;
use axum::routing::post;

use super::Door;
use super::answer::{Answer, Json};
use super::request::{Agent, Document, Run};

/// The routes below `/v1/runs/{run}`.
pub(super) fn routes() -> Router<Door> {
    Router::new()
        .route("/start", post(start))
        .route("/heartbeat", post(heartbeat))
        .route("/reserve", post(reserve))
        .route("/cost", post(cost))
        .route("/note", post(note))
        .route("/ask", post(ask))
        .route("/children", post(children))
        .route("/complete", post(complete))
        .route("/fail", post(fail))
}

async fn start(
    State(door): State<Door>,
    Agent(caller): Agent,
    Run(run): Run,
    Document(fenced): Document<Fenced>,
) -> Answer<RunStatus> {
    Ok(Json(door.engine.start(&caller, run, &fenced).await?))
}

async fn heartbeat(
    State(door): State<Door>,
    Agent(caller): Agent,
    Run(run): Run,
    Document(heartbeat): Document<Heartbeat>,
) -> Answer<RunStatus> {
    Ok(Json(door.engine.heartbeat(&caller, run, heartbeat)?))
}

async fn reserve(
    State(door): State<Door>,
    Agent(caller): Agent,
    Run(run): Run,
    Document(reserve): Document<Reserve>,
) -> Answer<RunStatus> {
    Ok(Json(door.engine.reserve(&caller, run, &reserve).await?))
}

async fn cost(
    State(door): State<Door>,
    Agent(caller): Agent,
    Run(run): Run,
    Document(cost): Document<Cost>,
) -> Answer<RunStatus> {
    Ok(Json(door.engine.cost(&caller, run, &cost).await?))
}

async fn note(
    State(door): State<Door>,
    Agent(caller): Agent,
    Run(run): Run,
    Document(note): Document<Note>,
) -> Answer<RunStatus> {
    Ok(Json(door.engine.run_note(&caller, run, &note).await?))
}

async fn ask(
    State(door): State<Door>,
    Agent(caller): Agent,
    Run(run): Run,
    Document(note): Document<Note>,
) -> Answer<RunStatus> {
    Ok(Json(door.engine.ask(&caller, run, &note).await?))
}

async fn children(
    State(door): State<Door>,
    Agent(caller): Agent,
    Run(run): Run,
    Document(children): Document<Children>,
) -> Answer<SubmittedView> {
    Ok(Json(door.engine.children(&caller, run, children).await?))
}

async fn complete(
    State(door): State<Door>,
    Agent(caller): Agent,
    Run(run): Run,
    Document(complete): Document<Complete>,
) -> Answer<Completed> {
    Ok(Json(door.engine.complete(&caller, run, complete).await?))
}

async fn fail(
    State(door): State<Door>,
    Agent(caller): Agent,
    Run(run): Run,
    Document(fail): Document<Fail>,
) -> Answer<Completed> {
    Ok(Json(door.engine.fail(&caller, run, &fail).await?))
}
