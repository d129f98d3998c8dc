//! Reads at the operators' door, on a connection that is open already.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;

use super::{Sample, doors};

pub(super) async fn list(control: &Path, calls: usize) -> anyhow::Result<Sample> {
    let connection = doors::operators(control).await?;
    let proxy = doors::works(&connection).await?;
    each(calls, async || proxy.list("{\"limit\":50}").await.map(drop).context("a list")).await
}

pub(super) async fn show(control: &Path, work: &str, calls: usize) -> anyhow::Result<Sample> {
    let connection = doors::operators(control).await?;
    let proxy = doors::works(&connection).await?;
    each(calls, async || proxy.show(work).await.map(drop).context("a work")).await
}

/// Makes one call after the other and notes how long each takes.
async fn each(calls: usize, call: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<Sample> {
    let begun = Instant::now();
    let mut latencies = Vec::with_capacity(calls);
    for _ in 0..calls {
        let begun = Instant::now();
        call().await?;
        latencies.push(begun.elapsed());
    }
    Ok(Sample::of(begun.elapsed(), latencies))
}
