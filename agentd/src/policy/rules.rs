//! What is forbidden whatever any policy says, and what the daemon does by itself. No file can take any of it away.

use agentd_schemas::event::{Actor, Assurance};

use super::{Action, Caller, Resource};

/// One rule that is built in: its id, and what it says. Both are part of the digest of each set.
pub(super) struct Rule {
    /// Stable id, as recorded in events.
    pub(super) id: &'static str,
    /// What it says.
    pub(super) says: &'static str,
    applies: fn(&Caller, Action, &Resource) -> bool,
}

/// Version of the meaning of the rules below: it goes up when a predicate changes and its words do not.
pub(super) const VERSION: u32 = 2;

/// The rule for what the daemon does by itself.
pub(super) const HOST_ACTS: Rule = Rule {
    id: "host.acts_by_rule",
    says: "the daemon may do what its timers, its recovery and its effects demand",
    applies: |caller, _, _| caller.actor == Actor::Host,
};

/// What is forbidden, in the order in which it is tried.
pub(super) const FORBIDS: &[Rule] = &[
    Rule {
        id: "person.is_in_a_group",
        says: "on a host that agentd serves as a whole, who is not in its group of users may see the host's status, an auditor everything, and change nothing",
        applies: |caller, action, _| {
            caller.outside.is_some() && action != Action::HostRead && !(caller.auditor && is_reading(action))
        },
    },
    Rule {
        id: "agent.never_governs",
        says: "an agent may only claim, act in its own runs, submit parts of its work and read what it works on",
        applies: |caller, action, _| {
            caller.agent_name().is_some()
                && !matches!(
                    action,
                    Action::WorkClaim | Action::RunAct | Action::WorkSubmit | Action::WorkRead | Action::AgentRead
                )
        },
    },
    Rule {
        id: "agent.suspended_is_shut_out",
        says: "a suspended or retired agent may do nothing",
        applies: |caller, _, resource| caller.agent_name().is_some() && resource.suspended,
    },
    Rule {
        id: "run.speaks_for_itself",
        says: "a run at its own socket may act in itself alone, submit parts of its work and read it; it claims and decides nothing",
        applies: |caller, action, resource| {
            caller.run.is_some_and(|run| {
                !matches!(action, Action::RunAct | Action::WorkSubmit | Action::WorkRead)
                    || resource.name.strip_prefix("work ") != Some(&run.work.to_string())
            })
        },
    },
    Rule {
        id: "automation.never_judges",
        says: "an automation's uid may change what is declared, and judge, answer, activate and reinstate nothing",
        applies: |caller, action, _| {
            caller.assurance == Assurance::Unattended
                && matches!(
                    action,
                    Action::WorkJudge | Action::WorkAnswer | Action::AgentActivate | Action::AgentReinstate
                )
        },
    },
];

/// The first prohibition that applies.
pub(super) fn forbidden(caller: &Caller, action: Action, resource: &Resource) -> Option<&'static Rule> {
    FORBIDS.iter().find(|rule| (rule.applies)(caller, action, resource))
}

/// Whether the daemon itself asks.
pub(super) fn host_acts(caller: &Caller, action: Action, resource: &Resource) -> bool {
    (HOST_ACTS.applies)(caller, action, resource)
}

/// Whether an action only looks.
pub(super) const fn is_reading(action: Action) -> bool {
    matches!(
        action,
        Action::WorkRead
            | Action::AgentRead
            | Action::ScheduleRead
            | Action::ObjectiveRead
            | Action::HostExamine
            | Action::HostMeasure
            | Action::HostRead
            | Action::LedgerReadAll
            | Action::LedgerReadOwn
            | Action::PolicyRead
    )
}
