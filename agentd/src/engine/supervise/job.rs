//! What a run is made from, read from the ledger.

use agentd_schemas::content::WorkContent;
use agentd_schemas::document::WorkspaceDocument;
use agentd_schemas::http::Claim;
use agentd_schemas::launch::{Level, RunAs};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;

use super::Supervisor;
use crate::domain::work::WorkFacts;
use crate::domain::work::claim::needs_workspace;
use crate::engine::Engine;
use crate::ledger::load;
use crate::runner::{self, Job};

impl Supervisor {
    /// The user of an agent's runs, where they have users of their own: as many apart from the first as the agent's place
    /// in the ledger.
    fn run_as(&self, place: u32) -> Result<Option<RunAs>, Problem> {
        let Some(uids) = self.runs.host.uids else { return Ok(None) };
        let uid = Some(place).filter(|place| *place < uids.count).and_then(|place| uids.first.checked_add(place));
        let uid = uid.ok_or_else(|| {
            Problem::new(Code::OutOfBounds, "there is no user left for runs of this agent")
                .hint("its place in the ledger is beyond the range of users for runs")
        })?;
        Ok(Some(RunAs { uid, gid: uid }))
    }

    /// How confined a run of a program is: as strongly as the host can, which must be enough for the program and the host's
    /// rules.
    fn level_for(&self, asked: Option<Level>) -> Result<Level, Problem> {
        let least = asked.unwrap_or(Level::Strict).max(self.runs.least_level);
        let asks = format!("the run asks for a sandbox of level {}", least.as_str());
        match self.level() {
            Some(Ok(level)) if *level >= least => Ok(*level),
            Some(Ok(level)) => {
                Err(Problem::new(Code::WrongState, format!("{asks}, and this host can do {} at best", level.as_str()))
                    .hint("see what is missing: agentctl doctor"))
            }
            Some(Err(reason)) => Err(Problem::new(Code::WrongState, format!("{asks}, and this host can do none: {reason}"))
                .hint("see what is missing: agentctl doctor")),
            None => Err(Problem::new(Code::Busy, "what this host can do is not known yet").hint("try again")),
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
        let (runtime, place, work, content) = self.0.readers.with(|conn| {
            let runtime = load::programs::runtime(conn, agent).map_err(Problem::internal)?;
            let place = load::programs::place_of(conn, agent).map_err(Problem::internal)?;
            let work = load::works::work(conn, claim.work, false).map_err(Problem::internal)?;
            let work = work.ok_or_else(|| missing("the work"))?;
            let content = load::content::of_work(conn, work.key).map_err(Problem::internal)?;
            Ok::<_, Problem>((runtime, place, work, content))
        })?;
        let (runtime, files) = runtime.ok_or_else(|| missing("the program"))?;
        let content: WorkContent = content.ok_or_else(|| {
            missing("the content").hint("it was erased: cancel the work, and submit it anew")
        })?;
        let workspace = content.workspace.or_else(|| needs_workspace(&work.spec).then(WorkspaceDocument::default));
        let job = Job {
            run: claim.run,
            agent: agent.clone(),
            level: supervisor.level_for(runtime.sandbox.level)?,
            run_as: supervisor.run_as(place)?,
            timeout_ms: work.spec.timeout_ms.unwrap_or(supervisor.runs.timeout_ms),
            uid_owner: work.spec.owner,
            runtime,
            files,
            workspace,
            checks: content.checks,
            claim,
        };
        job.check(&supervisor.runs.host).map_err(|refused: runner::Refused| {
            Problem::new(Code::WrongState, refused.to_string()).hint("see: agentctl agent show, agentctl doctor")
        })?;
        Ok(Told { job, work })
    }
}
