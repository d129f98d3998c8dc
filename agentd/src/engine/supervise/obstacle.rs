//! What keeps the program of an agent from being started on this host.

use std::sync::PoisonError;

use agentd_schemas::document::WorkspaceDocument;
use agentd_schemas::launch::{Allowed, LAUNCH_UNIT, Level};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;
use rusqlite::Connection;

use super::Supervisor;
use crate::domain::work::WorkFacts;
use crate::domain::work::claim::needs_workspace;
use crate::ledger::load;
use crate::runner::{self, Asks};

/// Shows what the launcher gives runs.
const SHOWS_UNIT: &str = "systemctl cat agentd-launch.service";

/// What keeps a program from being started on this host.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Obstacle {
    pub(in crate::engine) problem: Problem,
    /// The host's sandbox is too weak, or its launcher gives too little, and this command shows why: that may change without
    /// anybody telling the daemon.
    pub(super) shown_by: Option<&'static str>,
    /// It names what somebody's program asks for: that is for who may see the work.
    pub(super) is_private: bool,
}

impl Supervisor {
    /// The least that a program and the host's rules ask for.
    pub(super) fn least(&self, asked: Option<Level>) -> Level {
        asked.unwrap_or(Level::Strict).max(self.bounds.get().least_level)
    }

    /// How confined a run of a program is: as strongly as the host can, which must be enough for the program and the host's
    /// rules.
    pub(super) fn level_for(&self, asked: Option<Level>) -> Result<Level, Problem> {
        let least = self.least(asked);
        let asks = format!("the run asks for a sandbox of level {}", least.as_str());
        match self.level() {
            Some(Ok(level)) if level >= least => Ok(level),
            Some(Ok(level)) => {
                Err(Problem::new(Code::WrongState, format!("{asks}, and this host can do {} at best", level.as_str()))
                    .hint("see what is missing: agentctl doctor"))
            }
            Some(Err(unable)) => {
                let words = format!("{asks}, and this host can do none: {}", unable.reason);
                Err(Problem::new(Code::WrongState, words).hint(format!("see what is missing: {}", unable.command())))
            }
            None => Err(Problem::new(Code::Busy, "what this host can do is not known yet").hint("try again")),
        }
    }

    /// The command that shows why the host cannot do what a run asks for.
    fn command(&self) -> &'static str {
        match self.level() {
            Some(Err(unable)) => unable.command(),
            _ => "agentctl doctor",
        }
    }

    /// Why the program of an agent cannot be started on this host as it asks to be, where it cannot; what works ask for is
    /// left aside. Who comes by itself has no program.
    pub(in crate::engine) fn obstacle(&self, conn: &Connection, agent: &Slug) -> Result<Option<Obstacle>, Problem> {
        let found = load::programs::runtime_now(conn, agent).map_err(Problem::internal)?;
        let Some((runtime, whole)) = found else { return Ok(None) };
        if let Err(problem) = self.level_for(runtime.sandbox.level) {
            return Ok(Some(Obstacle { problem, shown_by: Some(self.command()), is_private: false }));
        }
        let erased = || {
            let hint = format!("hand them in again: agentctl agent program {agent} --file … --reason …");
            Problem::new(Code::Redacted, "the content of the agent's files was erased").hint(hint)
        };
        let stands = match self.runs.host.check(&runtime) {
            Err(unfit) => Some(refused(&unfit)),
            Ok(()) => (!whole).then(erased),
        };
        if let Some(problem) = stands {
            return Ok(Some(Obstacle { problem, shown_by: None, is_private: true }));
        }
        let unfit = self.allowed().and_then(|allowed| self.runs.host.allows(&allowed, &runtime).err());
        Ok(unfit.map(|unfit| beyond(&unfit)))
    }

    /// The same for one work: what it asks for beside its agent's program.
    pub(in crate::engine) fn obstacle_of_work(
        &self,
        conn: &Connection,
        agent: &Slug,
        work: &WorkFacts,
    ) -> Result<Option<Obstacle>, Problem> {
        let allowed = self.allowed();
        let has_workspace = needs_workspace(&work.spec);
        if allowed.is_none() && !has_workspace {
            return Ok(None);
        }
        let found = load::programs::runtime_now(conn, agent).map_err(Problem::internal)?;
        let Some((runtime, _)) = found else { return Ok(None) };
        let content =
            if has_workspace { load::content::of_work(conn, work.key).map_err(Problem::internal)? } else { None };
        let (workspace, checks) = content.map(|content| (content.workspace, content.checks)).unwrap_or_default();
        let workspace = workspace.or_else(|| has_workspace.then(WorkspaceDocument::default));
        let timeout_ms = work.spec.timeout_ms.unwrap_or(self.bounds.get().timeout_ms);
        let asks = Asks { timeout_ms, workspace: workspace.as_ref(), checks: &checks };
        let host = &self.runs.host;
        Ok(match (host.allows_work(None, &runtime, asks), allowed) {
            (Err(unfit), _) => Some(Obstacle { problem: refused(&unfit), shown_by: None, is_private: true }),
            (Ok(()), Some(allowed)) => {
                host.allows_work(Some(&allowed), &runtime, asks).err().map(|unfit| beyond(&unfit))
            }
            (Ok(()), None) => None,
        })
    }

    /// What the launcher gives runs at most, where it is a service and was asked.
    fn allowed(&self) -> Option<Allowed> {
        self.probe.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|probe| probe.allowed.clone())
    }
}

fn beyond(unfit: &runner::Refused) -> Obstacle {
    let hint = format!("root allows it: systemctl edit {LAUNCH_UNIT}; see install.md, What runs may have");
    let problem = Problem::new(Code::WrongState, unfit.to_string()).hint(hint);
    Obstacle { problem, shown_by: Some(SHOWS_UNIT), is_private: true }
}

/// A program that this host refuses.
pub(super) fn refused(unfit: &runner::Refused) -> Problem {
    Problem::new(Code::WrongState, unfit.to_string()).hint("see: agentctl agent show, agentctl doctor")
}
