//! After a start: runs that lived on, and runs that are over and whose programs may not know it.

use std::sync::Arc;

use agentd_schemas::id::RunId;
use agentd_schemas::launch::StopCause;
use agentd_schemas::problem::Problem;
use agentd_schemas::unit::name::Slug;
use tokio::task::JoinSet;

use super::course::{self, Course};
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
    match runner::garbage::runs(&supervisor.runs.host) {
        Ok(there) => {
            for run in there.into_iter().filter(|run| !living.contains(run)) {
                if let Err(problem) = end(engine, supervisor, courses, run) {
                    tracing::error!(%run, "what is left of a run that is over cannot be ended: {problem}");
                }
            }
        }
        Err(error) => tracing::error!("the folders of runs cannot be read: {error}"),
    }
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

/// Ends what is left of a run that is over: what it brings is refused anyway. What its program used is told all the same,
/// where the daemon died before it could.
fn end(engine: &Engine, supervisor: &Arc<Supervisor>, courses: &mut JoinSet<()>, run: RunId) -> Result<(), Problem> {
    let folder = Folder::of(&supervisor.runs.host, run);
    let lives = leftover::lives(&folder);
    if !lives && !leftover::began(&folder) {
        return Ok(());
    }
    let named = engine.0.readers.with(|conn| load::programs::named(conn, run).map_err(Problem::internal))?;
    // A folder that no run in this ledger had is not ours to judge; it goes when it is cleared up.
    let Some((named, agent, owner, ended)) = named else { return Ok(()) };
    if !lives && ended {
        return Ok(());
    }
    if let Some(place) = supervisor.place(run, owner) {
        let course = Course::new(engine.clone(), supervisor.clone(), place, agent, owner, named);
        courses.spawn(async move {
            tracing::info!(%run, "what is left of a run that is over is ended");
            course.clear_away(&course.folder(), StopCause::LeaseLost).await;
        });
    }
    Ok(())
}

impl Engine {
    /// The owner of an agent with a program; none for one that comes by itself.
    fn has_program(&self, agent: &Slug) -> Result<Option<u32>, Problem> {
        let found = self.0.readers.with(|conn| load::agents::candidate(conn, agent).map_err(Problem::internal))?;
        Ok(found.filter(|agent| agent.started).map(|agent| agent.owner))
    }
}
