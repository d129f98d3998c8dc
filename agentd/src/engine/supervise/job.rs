//! What a run is made from, read from the ledger.

use agentd_schemas::content::WorkContent;
use agentd_schemas::document::WorkspaceDocument;
use agentd_schemas::http::Claim;
use agentd_schemas::launch::Level;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;

use super::Supervisor;
use super::obstacle::refused;
use crate::domain::work::WorkFacts;
use crate::domain::work::claim::needs_workspace;
use crate::engine::Engine;
use crate::ledger::load;
use crate::runner::{self, Folder, Job};

impl Supervisor {
    /// How confined the steps of a run are. One that lives on is not ended for a host that cannot be tried at the moment, and
    /// keeps the level that it began with; where that does not hold any more, they are refused.
    fn level_of(&self, asked: Option<Level>, folder: &Folder) -> Level {
        let least = self.least(asked);
        match (self.level_for(asked), runner::level_begun(folder)) {
            (Ok(level), Some(begun)) => begun.min(level).max(least),
            (Ok(level), None) => level,
            (Err(_), begun) => begun.map_or(least, |begun| begun.max(least)),
        }
    }
}

/// A run and what it is judged by.
pub(super) struct Told {
    pub(super) job: Job,
    pub(super) work: WorkFacts,
}

impl Engine {
    /// Reads what a run is made from.
    pub(super) fn job(&self, supervisor: &Supervisor, agent: &Slug, claim: Claim) -> Result<Told, Problem> {
        let missing = |what: &str| Problem::new(Code::Redacted, format!("{what} of the run cannot be read"));
        let (runtime, work, content) = self.0.readers.with(|conn| {
            let runtime = load::programs::runtime(conn, agent, claim.fence.n).map_err(Problem::internal)?;
            let work = load::works::work(conn, claim.work, false).map_err(Problem::internal)?;
            let work = work.ok_or_else(|| missing("the work"))?;
            let content = load::content::of_work(conn, work.key).map_err(Problem::internal)?;
            Ok::<_, Problem>((runtime, work, content))
        })?;
        let (runtime, files) = runtime.ok_or_else(|| missing("the program"))?;
        let content: WorkContent =
            content.ok_or_else(|| missing("the content").hint("it was erased: cancel the work, and submit it anew"))?;
        let workspace = content.workspace.or_else(|| needs_workspace(&work.spec).then(WorkspaceDocument::default));
        let job = Job {
            run: claim.run,
            agent: agent.clone(),
            level: supervisor.level_of(runtime.sandbox.level, &Folder::of(&supervisor.runs.host, claim.run)),
            run_as: supervisor.runs.host.uids.map(|uids| uids.of_run(claim.fence.n)),
            timeout_ms: work.spec.timeout_ms.unwrap_or(supervisor.bounds.get().timeout_ms),
            uid_owner: work.spec.owner,
            runtime,
            files,
            workspace,
            checks: content.checks,
            claim,
        };
        job.check(&supervisor.runs.host).map_err(|unfit| refused(&unfit))?;
        Ok(Told { job, work })
    }
}
