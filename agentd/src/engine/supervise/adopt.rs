//! After a start: runs that lived on, and runs that are over and whose programs may not know it.

use std::sync::Arc;

use agentd_schemas::id::RunId;
use agentd_schemas::launch::StopCause;
use agentd_schemas::problem::Problem;
use agentd_schemas::unit::name::Slug;
use tokio::task::JoinSet;

use super::{Supervisor, course};
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
                end(supervisor, run);
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

/// Ends what is left of a run that is over: what it brings is refused anyway.
fn end(supervisor: &Supervisor, run: RunId) {
    let folder = Folder::of(&supervisor.runs.host, run);
    for step in runner::garbage::steps(&folder) {
        if matches!(runner::look(&folder, step), Ok(runner::Look::Running(_) | runner::Look::Starting)) {
            tracing::info!(%run, "step {step} of a run that is over is ended");
            if let Err(error) = runner::control(&folder, step, &format!("stop {}", StopCause::LeaseLost.as_str())) {
                tracing::warn!(%run, "step {step} of a run that is over was not reached: {error}");
            }
        }
    }
}

impl Engine {
    /// The owner of an agent with a program; none for one that comes by itself.
    fn has_program(&self, agent: &Slug) -> Result<Option<u32>, Problem> {
        let found = self.0.readers.with(|conn| load::agents::candidate(conn, agent).map_err(Problem::internal))?;
        Ok(found.filter(|agent| agent.started).map(|agent| agent.owner))
    }
}
