//! Agents whose works wait because this host cannot start their programs as they ask.

use std::sync::PoisonError;

use agentd_schemas::unit::name::Slug;

use super::Supervisor;
use super::obstacle::Obstacle;
use crate::engine::message_ids;

impl Supervisor {
    /// Remembers that works of an agent wait for the host, or that they do not any more.
    pub(super) fn hold_back(&self, agent: &Slug, obstacle: Option<Obstacle>) {
        let mut held = self.held_back.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match obstacle {
            Some(obstacle) => {
                let words = obstacle.problem.to_string();
                let before = held.insert(agent.clone(), obstacle);
                if before.as_ref().is_none_or(|before| before.problem.to_string() != words) {
                    let message_id = message_ids::RUN_REFUSED;
                    tracing::warn!(MESSAGE_ID = message_id, AGENT_ID = %agent, "works of agent {agent} wait: {words}");
                }
                return;
            }
            None => held.remove(agent),
        };
        if before.is_some() {
            tracing::info!("works of agent {agent} wait for the host no more");
        }
    }

    /// Forgets agents that get no work for other reasons.
    pub(super) fn forget_others(&self, names: &[&Slug]) {
        self.held_back.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| names.contains(&name));
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| names.contains(&name));
    }

    /// Whether a try could let something begin that waits.
    pub(super) fn is_too_weak(&self) -> bool {
        let held = self.held_back.lock().unwrap_or_else(PoisonError::into_inner);
        held.values().any(|obstacle| obstacle.shown_by.is_some())
    }

    /// That works wait for the host, in words for everybody: no agent is named.
    pub(crate) fn why_held_back(&self) -> Option<String> {
        let held = self.held_back.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of_host = held.values().filter(|obstacle| !obstacle.is_private);
        let weak = of_host.find_map(|obstacle| Some((obstacle.shown_by?, obstacle)));
        match (weak, held.len()) {
            (Some((command, weak)), _) => Some(format!("works wait: {} ({command})", weak.problem.message)),
            (None, 0) => None,
            (None, 1) => Some("works wait: this host cannot start the program of one agent (agentctl why WORK)".into()),
            (None, n) => {
                Some(format!("works wait: this host cannot start the programs of {n} agents (agentctl why WORK)"))
            }
        }
    }
}
