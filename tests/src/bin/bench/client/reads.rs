//! Reads at the operators' door, on a connection that is open already.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;

use super::{Sample, doors};

pub(super) async fn list(control: &Path, calls: usize) -> anyhow::Result<Sample> {
    let connection = doors::operators(control).await?;
    let proxy = doors::works(&connection).await?;
    let begun = Instant::now();
    let mut latencies = Vec::with_capacity(calls);
    for _ in 0..calls {
        let begun = Instant::now();
        proxy.list("{\"limit\":50}").await.context("a list")?;
        latencies.push(begun.elapsed());
    }
    Ok(Sample::of(begun.elapsed(), latencies))
}

pub(super) async fn show(control: &Path, work: &str, calls: usize) -> anyhow::Result<Sample> {
    let connection = doors::operators(control).await?;
    let proxy = doors::works(&connection).await?;
    let begun = Instant::now();
    let mut latencies = Vec::with_capacity(calls);
    for _ in 0..calls {
        let begun = Instant::now();
        proxy.show(work).await.context("a work")?;
        latencies.push(begun.elapsed());
    }
    Ok(Sample::of(begun.elapsed(), latencies))
}
