//! After a start: runs that lived on, and runs that are over and whose programs may not know it.

use std::sync::Arc;

use agentd_schemas::id::RunId;
use agentd_schemas::launch::StopCause;
use agentd_schemas::problem::Problem;
use agentd_schemas::unit::name::Slug;
use tokio::task::JoinSet;

use super::course::{self, Course, blocking};
use super::{Supervisor, leftover};
use crate::engine::{Engine, LiveRun};
use crate::ledger::{load, query};
use crate::runner::{self, Folder};

/// Goes on with every run of an agent with a program that the ledger says is live, and ends what is not.
pub(super) fn adopt(engine: &Engine, supervisor: &Arc<Supervisor>, courses: &mut JoinSet<()>) {
    let mut living = Vec::new();
    for live in engine.0.live.all() {
        match engine.has_program(&live.agent) {
            Ok(Some(owner)) => {
                let run = RunId { work: live.run.work, attempt: live.run.attempt };
                living.push(run);
                if let Err(problem) = go_on(engine, supervisor, courses, &live, run, owner) {
                    tracing::error!(%run, "a run that lived on cannot be taken over: {problem}");
                }
            }
            Ok(None) => {}
            Err(problem) => tracing::error!("whether agent {} has a program is not known: {problem}", live.agent),
        }
    }
    courses.spawn(end_others(engine.clone(), supervisor.clone(), living));
}

/// Ends what is left of runs that are over. Where nobody may look into their folders but the launcher, that takes a while:
/// nothing else waits for it.
async fn end_others(engine: Engine, supervisor: Arc<Supervisor>, living: Vec<RunId>) {
    let host = supervisor.runs.host.clone();
    let there = match blocking(move || runner::garbage::runs(&host)).await {
        Ok(Ok(there)) => there,
        Ok(Err(error)) => return tracing::error!("the folders of runs cannot be read: {error}"),
        Err(problem) => return tracing::error!("the folders of runs cannot be read: {problem}"),
    };
    let mut ending = JoinSet::new();
    for run in there.into_iter().filter(|run| !living.contains(run)) {
        // What began in the meantime is none that is left.
        if supervisor.phase(run).is_some() {
            continue;
        }
        match left(&engine, &supervisor, run).await {
            Ok(Some(course)) => drop(ending.spawn(end(course))),
            Ok(None) => {}
            Err(problem) => tracing::error!(%run, "what is left of a run that is over cannot be ended: {problem}"),
        }
    }
    while ending.join_next().await.is_some() {}
}

fn go_on(
    engine: &Engine,
    supervisor: &Arc<Supervisor>,
    courses: &mut JoinSet<()>,
    live: &LiveRun,
    run: RunId,
    owner: u32,
) -> Result<(), Problem> {
    let key = i64::try_from(live.run.fence.n).map_err(Problem::internal)?;
    let (claim, terms) = engine.0.readers.with(|conn| Ok(query::claim::claim_document(conn, key)?))?;
    engine.0.live.agree(&live.run, terms);
    if let Some(place) = supervisor.place(run, owner) {
        courses.spawn(course::run(engine.clone(), place, live.agent.clone(), owner, claim));
    }
    Ok(())
}

/// What is to be ended of a run that is over: what it brings is refused anyway. What its program used is told all the same,
/// where the daemon died before it could.
async fn left(engine: &Engine, supervisor: &Arc<Supervisor>, run: RunId) -> Result<Option<Course>, Problem> {
    let folder = Folder::of(&supervisor.runs.host, run);
    let (lives, began) = blocking(move || (leftover::lives(&folder), leftover::began(&folder))).await?;
    if !lives && !began {
        return Ok(None);
    }
    let named = engine.0.readers.with(|conn| load::programs::named(conn, run).map_err(Problem::internal))?;
    // A folder that no run in this ledger had is not ours to judge; it goes when it is cleared up.
    let Some((named, agent, owner, ended)) = named else { return Ok(None) };
    if !lives && ended {
        return Ok(None);
    }
    let place = supervisor.place(run, owner);
    Ok(place.map(|place| Course::new(engine.clone(), supervisor.clone(), place, agent, owner, named)))
}

async fn end(course: Course) {
    let folder = course.folder();
    tracing::info!(run = %folder.run(), "what is left of a run that is over is ended");
    course.clear_away(&folder, StopCause::LeaseLost).await;
}

impl Engine {
    /// The owner of an agent with a program; none for one that comes by itself.
    fn has_program(&self, agent: &Slug) -> Result<Option<u32>, Problem> {
        let found = self.0.readers.with(|conn| load::agents::candidate(conn, agent).map_err(Problem::internal))?;
        Ok(found.filter(|agent| agent.started).map(|agent| agent.owner))
    }
}
