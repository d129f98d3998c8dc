//! What a decision about one work may know.

use std::sync::Arc;

use agentd_schemas::document::work::OnDependencyFailure;
use agentd_schemas::event::{CostReserved, Subject, WaitReason, WorkState, WorkSubmitted};
use agentd_schemas::id::{Fence, RunId, WorkId};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;

use crate::domain::account::Used;
use crate::domain::command::RunRef;
use crate::domain::{Draft, Rejection};

/// One work as the projection has it.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own, none excludes another")]
pub struct WorkFacts {
    /// Log index of its submit: its internal key.
    pub key: u64,
    /// Its id.
    pub id: WorkId,
    /// Its state.
    pub state: WorkState,
    /// What was submitted.
    pub spec: Arc<WorkSubmitted>,
    /// Attempts so far.
    pub attempts: u32,
    /// Attempts in all, raises included.
    pub max_attempts: u32,
    /// Money in all, raises included.
    pub max_cost: Option<u64>,
    /// Tokens in all, raises included.
    pub max_tokens: Option<u64>,
    /// Money settled.
    pub spent: u64,
    /// Money set aside.
    pub reserved: u64,
    /// Tokens settled.
    pub tokens: u64,
    /// Tokens set aside.
    pub reserved_tokens: u64,
    /// Whether other works are parts of it.
    pub has_parts: bool,
    /// What its parts use, and theirs.
    pub parts: Used,
    /// What the living run set aside and has not settled: log index and amounts.
    pub open: Vec<(u64, CostReserved)>,
    /// Dependencies that are not met.
    pub unmet: u32,
    /// The current or last run.
    pub run: Option<LiveRun>,
    /// Direct dependants whose dependency on this work is open; empty unless the command may end it.
    pub dependants: Vec<Dependant>,
    /// Whether the content is under hold.
    pub held: bool,
    /// Which service levels were missed.
    pub breached_start: bool,
    /// Which service levels were missed.
    pub breached_finish: bool,
    /// Which service levels were missed.
    pub breached_deadline: bool,
}

/// The run that holds the lease, or held it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRun {
    /// The agent.
    pub agent: Slug,
    /// Model epoch.
    pub epoch: u32,
    /// The fence.
    pub fence: Fence,
    /// What it waits for.
    pub waiting: Option<WaitReason>,
}

/// A work that waits for this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependant {
    /// Its id.
    pub id: WorkId,
    /// Its state.
    pub state: WorkState,
    /// Dependencies that are not met, this one included.
    pub unmet: u32,
    /// What the failure of a dependency does to it.
    pub on_failure: OnDependencyFailure,
    /// Its not-before.
    pub not_before: Option<agentd_schemas::unit::time::WallMs>,
}

impl WorkFacts {
    /// The subject of its events.
    pub const fn subject(&self) -> Subject {
        Subject::Work(self.id)
    }

    /// The id of its current or last run.
    pub const fn run_id(&self) -> RunId {
        RunId { work: self.id, attempt: self.attempts }
    }

    /// An event about this work, in its current run when there is one.
    pub fn draft(&self, data: impl Into<agentd_schemas::event::EventData>) -> Draft {
        let draft = Draft::new(self.subject(), data);
        match &self.run {
            Some(run) if self.state.is_leased() || self.state == WorkState::Verifying => {
                draft.in_run(self.run_id(), run.epoch)
            }
            _ => draft,
        }
    }

    /// The living run that the caller names, or why it may not speak for it.
    pub fn live(&self, named: &RunRef) -> Result<&LiveRun, Rejection> {
        let run = self.run.as_ref().ok_or_else(|| self.stale(named, None))?;
        if run.fence != named.fence || named.attempt != self.attempts || !self.state.is_leased() {
            return Err(self.stale(named, Some(run)));
        }
        Ok(run)
    }

    fn stale(&self, named: &RunRef, run: Option<&LiveRun>) -> Rejection {
        let newer = run.filter(|run| run.fence > named.fence);
        let why = match newer {
            Some(newer) if self.state.is_leased() => format!("agent {} holds it now", newer.agent),
            _ if run.is_some_and(|run| run.fence == named.fence) => {
                format!("the work is {}", self.state.as_str())
            }
            _ if run.is_none_or(|run| run.fence < named.fence) => {
                "this ledger never gave it out: the host was restored from a backup".to_owned()
            }
            _ => format!("the lease is over and the work is {}", self.state.as_str()),
        };
        Problem::new(
            Code::StaleFence,
            format!("fence {} of run {}.{} is stale: {why}", named.fence, self.id, named.attempt),
        )
        .hint("stop this attempt, discard what it made, and claim again")
        .detail("work", self.id.to_string())
        .detail("state", self.state.as_str())
        .detail("fence", named.fence.to_string())
    }

    /// Refuses a command that this state does not allow.
    pub fn wrong_state(&self, verb: &str, hint: &str) -> Rejection {
        let state = match self.state {
            WorkState::Completed => "it has already completed".to_owned(),
            WorkState::Failed => "it has failed".to_owned(),
            WorkState::Cancelled => "it was cancelled".to_owned(),
            WorkState::Expired => "it has expired".to_owned(),
            state => format!("it is {}", state.as_str()),
        };
        Problem::new(Code::WrongState, format!("cannot {verb} work {}: {state}", self.id))
            .hint(hint)
            .detail("work", self.id.to_string())
            .detail("state", self.state.as_str())
    }
}
