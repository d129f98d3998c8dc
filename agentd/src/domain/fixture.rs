//! What tests of rules start from: one work that a run holds, its agent, and a moment.

use std::sync::Arc;

use agentd_schemas::document::work::{OnDeadline, OnDependencyFailure};
use agentd_schemas::event::{AgentState, WorkState, WorkSubmitted};
use agentd_schemas::id::{Fence, WorkId};
use agentd_schemas::unit::time::WallMs;

use super::account::Used;
use super::agent::AgentFacts;
use super::command::RunRef;
use super::matching::{Candidate, Certified};
use super::work::{LiveRun, WorkFacts};
use super::{Defaults, Draft, Env, Ids};

/// A moment with the defaults as delivered.
pub(crate) fn env() -> Env {
    Env {
        wall: WallMs::saturating(1_795_334_400_000),
        boot_ms: 5_000_000,
        incarnation: 1,
        next_index: 100,
        day: "2026-11-22".to_owned(),
        month: "2026-11".to_owned(),
        clock_held: false,
        ids: Ids::new([7; 32]),
        defaults: Arc::new(Defaults::default()),
    }
}

/// A work of uid 1000 in its first attempt of two, running with `fixer`.
pub(crate) fn work() -> WorkFacts {
    WorkFacts {
        key: 50,
        id: WorkId::from_bytes([1; 10]),
        state: WorkState::Running,
        spec: Arc::new(submitted()),
        attempts: 1,
        max_attempts: 2,
        max_cost: None,
        max_tokens: None,
        spent: 0,
        reserved: 0,
        tokens: 0,
        reserved_tokens: 0,
        has_parts: false,
        parts: Used::default(),
        open: Vec::new(),
        unmet: 0,
        run: Some(LiveRun {
            agent: agent().candidate.name,
            epoch: 1,
            fence: Fence { incarnation: 1, n: 60 },
            waiting: None,
        }),
        dependants: Vec::new(),
        held: false,
        breached_start: false,
        breached_finish: false,
        breached_deadline: false,
    }
}

/// The run of [`work`], as `fixer` names it.
pub(crate) fn named() -> RunRef {
    run_of(&work())
}

/// The run of a work, as its holder names it.
pub(crate) fn run_of(work: &WorkFacts) -> RunRef {
    RunRef { work: work.id, attempt: work.attempts, fence: work.run.as_ref().unwrap().fence }
}

/// The types of events.
pub(crate) fn names(drafts: &[Draft]) -> Vec<&'static str> {
    drafts.iter().map(|draft| draft.data.type_name()).collect()
}

/// A submit of uid 1000 that asks for nothing.
pub(crate) fn submitted() -> WorkSubmitted {
    WorkSubmitted {
        owner: 1000,
        state: WorkState::Ready,
        required_skills: Vec::new(),
        agent: None,
        labels: std::collections::BTreeMap::new(),
        priority: 0,
        depends_on: Vec::new(),
        on_dependency_failure: OnDependencyFailure::Cancel,
        parent: None,
        not_before: None,
        deadline: None,
        on_deadline: OnDeadline::Breach,
        latest_start: None,
        finish_by: None,
        timeout_ms: None,
        max_attempts: 2,
        max_cost_micro_usd: None,
        max_tokens: None,
        acceptance: Vec::new(),
        from_schedule: None,
        workspace: None,
    }
}

/// `fixer` of uid 1000, in the first epoch of its model and on probation.
pub(crate) fn agent() -> AgentFacts {
    AgentFacts {
        candidate: Candidate {
            name: "fixer".parse().unwrap(),
            owner: 1000,
            shared: false,
            state: AgentState::Probation,
            key_revoked: false,
            certified: Certified::NotNeeded,
            skills: Vec::new(),
            started: false,
            evidence: Vec::new(),
            live: 1,
            max_concurrency: 1,
            epoch: 1,
        },
        public_key: "ssh-ed25519 AAAA".to_owned(),
        authority: None,
        model: None,
        judged_in_epoch: 0,
        accepted_in_epoch: 0,
        failures_in_a_row: 0,
        state_before: AgentState::Probation,
    }
}
