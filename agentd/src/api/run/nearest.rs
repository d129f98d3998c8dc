//! Paths that a run does not have: the error names the one that was probably meant, and says what no run can do.

use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::strict;
use axum::http::{Method, StatusCode, Uri};

use crate::api::http::answer::Refusal;

/// What is read.
pub(super) const READ: [&str; 3] = ["/v1/health", "/v1/run", "/v1/run/artefacts"];
/// What is written.
pub(super) const WRITTEN: [&str; 9] = [
    "/v1/run/progress",
    "/v1/run/cost",
    "/v1/run/reserve",
    "/v1/run/note",
    "/v1/run/ask",
    "/v1/run/children",
    "/v1/run/artefact",
    "/v1/run/finish",
    "/v1/run/fail",
];
/// Words of what persons decide.
const DECIDED: [&str; 16] = [
    "approve",
    "approval",
    "approvals",
    "accept",
    "reject",
    "judge",
    "answer",
    "grant",
    "raise",
    "retry",
    "cancel",
    "freeze",
    "thaw",
    "enrol",
    "enroll",
    "budget",
];

/// Status 404.
pub(super) async fn no_such_path(uri: Uri) -> Refusal {
    let path = uri.path().trim_end_matches('/');
    let shown: String = path.chars().take(128).collect();
    if path.split('/').any(|part| DECIDED.contains(&part)) {
        return Problem::new(Code::NotFound, format!("no path {shown:?}: a run cannot approve or decide anything"))
            .hint("that is for persons, at the operators' door; POST /v1/run/ask asks one and waits for the answer")
            .into();
    }
    if path.starts_with("/v1/runs/") || ["/v1/claim", "/v1/token", "/v1/challenge"].contains(&path) {
        return Problem::new(Code::NotFound, format!("no path {shown:?}: this is the socket of one run"))
            .hint("it needs no token and no fence: begin with GET /v1/run")
            .into();
    }
    let all: Vec<&str> = READ.into_iter().chain(WRITTEN).collect();
    let hint = match strict::nearest(&all, path) {
        Some(path) => format!("did you mean {path}?"),
        None => format!("the paths are {}", all.join(", ")),
    };
    Problem::new(Code::NotFound, format!("no path {shown:?}")).hint(hint).into()
}

/// Status 405.
pub(super) async fn no_such_method(method: Method, uri: Uri) -> Refusal {
    let takes = if READ.contains(&uri.path()) { "GET" } else { "POST" };
    let problem = Problem::new(Code::InvalidDocument, format!("{:?} does not take {method}", uri.path()))
        .hint(format!("use {takes}"));
    Refusal { problem: Box::new(problem), status: StatusCode::METHOD_NOT_ALLOWED }
}
