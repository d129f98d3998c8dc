//! What must not work: signatures that are not right, tokens of others, and requests made to hurt.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on ends there, and measures how long it waited"
)]

mod documents;
mod floods;
mod gigabytes;
mod others;
mod secrets;
mod signatures;

use agentd_schemas::http::Claim;
use agentd_schemas::problem::Problem;
use agentd_tests::harness::{Agent, Operator};
use serde_json::json;

fn claimed(operator: &Operator, agent: &Agent) -> Claim {
    operator.submit(&json!({"title": "x"}));
    agent.claim()
}

fn code(problem: &Problem) -> &'static str {
    problem.code.as_str()
}
