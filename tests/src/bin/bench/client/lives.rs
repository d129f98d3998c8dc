//! Agents at their door: enrolled, authenticated, waiting for work, completing it with signed statements.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::doors::Agent;
use super::submits::{SKILL, submit};
use super::{Sample, doors};

/// Seconds that a claim waits.
const POLL_S: u32 = 30;
/// How long an agent gets to reach its wait before the next submit.
const SETTLE: Duration = Duration::from_millis(5);
/// Submitters beside the agents.
const SUBMITTERS: usize = 4;
/// Works a call of theirs.
const WORKS_A_CALL: usize = 16;

/// From a submit until the waiting agent has the work.
pub(super) async fn wake(control: &Path, agents: &Path, name: &str, works: usize) -> anyhow::Result<Sample> {
    let mut agent = Agent::enrol(control, agents, name, SKILL).await?;
    let connection = doors::operators(control).await?;
    let (had, mut having) = mpsc::channel(1);
    let taking = tokio::spawn(async move {
        for _ in 0..works {
            let claim = agent.claim(POLL_S).await?.context("nothing came while the agent waited")?;
            had.send(Instant::now()).await.context("who measures")?;
            agent.complete(&claim).await?;
        }
        anyhow::Ok(())
    });
    let begun = Instant::now();
    let mut latencies = Vec::with_capacity(works);
    for number in 0..works {
        tokio::time::sleep(SETTLE).await;
        let begun = Instant::now();
        let submitted = submit(&connection, number, 1);
        let taken = having.recv();
        let (submitted, taken) = futures_util::future::join(submitted, taken).await;
        submitted?;
        let Some(taken) = taken else { break };
        latencies.push(taken - begun);
    }
    taking.await??;
    Ok(Sample::of(begun.elapsed(), latencies))
}

/// Whole lives, from the first submit to the last completion. Works are submitted while the agents take them.
pub(super) async fn whole(
    control: &Path,
    agents: &Path,
    name: &str,
    count: usize,
    works: usize,
) -> anyhow::Result<Sample> {
    let mut taking = Vec::with_capacity(count);
    for number in 0..count {
        taking.push(Agent::enrol(control, agents, &format!("{name}-{number}"), SKILL).await?);
    }
    let left = Arc::new(AtomicUsize::new(works));
    let (done, mut all_done) = mpsc::channel::<()>(1);
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for mut agent in taking {
        let (left, done) = (left.clone(), done.clone());
        tasks.spawn(async move {
            loop {
                let Some(claim) = agent.claim(POLL_S).await? else { continue };
                agent.complete(&claim).await?;
                if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    let _ = done.send(()).await;
                }
            }
        });
    }
    let calls = works / (SUBMITTERS * WORKS_A_CALL);
    for number in 0..SUBMITTERS {
        let connection = doors::operators(control).await?;
        tasks.spawn(async move {
            for call in 0..calls {
                submit(&connection, number * calls + call, WORKS_A_CALL).await?;
            }
            // The connection stays until the others are done.
            std::future::pending::<anyhow::Result<()>>().await
        });
    }
    tokio::select! {
        _ = all_done.recv() => {}
        failed = tasks.join_next() => match failed {
            Some(failed) => failed??,
            None => bail!("nobody works"),
        },
    }
    let elapsed = begun.elapsed();
    tasks.abort_all();
    Ok(Sample { count: works, seconds: elapsed.as_secs_f64(), ..Sample::default() })
}

/// Claims that find nothing, because no work asks for what the agent can do.
pub(super) async fn absent(control: &Path, agents: &Path, name: &str, claims: usize) -> anyhow::Result<Sample> {
    let mut agent = Agent::enrol(control, agents, name, "absent").await?;
    let begun = Instant::now();
    let mut latencies = Vec::with_capacity(claims);
    for _ in 0..claims {
        let begun = Instant::now();
        if agent.claim(0).await?.is_some() {
            bail!("there is work for a skill that no work asks for");
        }
        latencies.push(begun.elapsed());
    }
    Ok(Sample::of(begun.elapsed(), latencies))
}
