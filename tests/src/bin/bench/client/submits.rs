//! Submits at the operators' door. A work has about 500 bytes of JSON, and a call an idempotency key, as agentctl sends.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use tokio::task::JoinSet;
use zbus::Connection;

use super::{Sample, doors};

/// The skill that the works of the benchmark ask for.
pub(super) const SKILL: &str = "bench";

/// One work as JSON.
pub(crate) fn work(number: usize) -> String {
    let document = serde_json::json!({
        "title": format!("Review change {number} of the payment service"),
        "instructions": "Read the change and the tests that it touches. Say what could go wrong in production, with \
                         file and line for each finding, and how sure you are of it. Do not run anything.",
        "inputs": { "repository": "https://git.example/payments.git", "change": number, "base": "main",
                    "reviewers": ["ada", "grace"], "paths": ["src/charge.rs", "src/refund.rs", "tests/retry.rs"] },
        "required_skills": [SKILL],
        "labels": { "team": "payments" },
    });
    document.to_string()
}

/// A list of works as JSON.
pub(super) fn list(first: usize, works: usize) -> String {
    let works: Vec<String> = (first..first + works).map(work).collect();
    format!("[{}]", works.join(","))
}

/// A key that no other call of any run has.
pub(crate) fn key(call: usize) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_nanos());
    format!("{now:x}-{:x}-{call:x}", std::process::id())
}

/// Submits one work, or a list of works.
pub(super) async fn submit(connection: &Connection, call: usize, works: usize) -> anyhow::Result<()> {
    let proxy = doors::works(connection).await?;
    match works {
        1 => proxy.submit(&work(call), &key(call)).await.context("a submit")?,
        _ => proxy.submit_many(&list(call * works, works), &key(call)).await.context("a bulk submit")?,
    };
    Ok(())
}

pub(super) async fn one_by_one(control: &Path, works: usize) -> anyhow::Result<Sample> {
    let connection = doors::operators(control).await?;
    let mut latencies = Vec::with_capacity(works);
    let begun = Instant::now();
    for number in 0..works {
        let begun = Instant::now();
        submit(&connection, number, 1).await?;
        latencies.push(begun.elapsed());
    }
    Ok(Sample::of(begun.elapsed(), latencies))
}

pub(super) async fn concurrent(
    control: &Path,
    submitters: usize,
    calls: usize,
    works: usize,
) -> anyhow::Result<Sample> {
    let mut connections = Vec::with_capacity(submitters);
    for _ in 0..submitters {
        connections.push(doors::operators(control).await?);
    }
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for (number, connection) in connections.into_iter().enumerate() {
        tasks.spawn(async move {
            let mut latencies = Vec::with_capacity(calls);
            for call in 0..calls {
                let begun = Instant::now();
                submit(&connection, number * calls + call, works).await?;
                latencies.push(begun.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Vec::with_capacity(submitters * calls);
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    let sample = Sample::of(begun.elapsed(), latencies);
    Ok(Sample { count: submitters * calls * works, ..sample })
}
