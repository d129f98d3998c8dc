//! Whether the person is there: what policy lets an operator do to what is not its own, polkit must agree to.
//!
//! Policy authorizes and a witness proves presence, so that a program which runs as an operator's uid does not govern the
//! host while nobody looks. The witness alone allows nothing.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use agentd_schemas::event::Assurance;
use agentd_schemas::problem::Problem;

use super::{Action, Caller, Decision, Resource, Set};

/// What a witness is asked about: an action of polkit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Freeze and thaw the host, accept its clock, collect garbage, copy the ledger, reload policies.
    ManageHost,
    /// Agents of everybody and of others.
    ManageAgents,
    /// Works, schedules and objectives of others.
    ManageWorks,
    /// Limits of accounts.
    ManageBudgets,
    /// Erase content, and say what is kept from it.
    EraseContent,
}

impl Presence {
    /// Every one.
    pub const ALL: &'static [Self] =
        &[Self::ManageHost, Self::ManageAgents, Self::ManageWorks, Self::ManageBudgets, Self::EraseContent];

    /// The id of the action in polkit, and in the events that it was asked about.
    pub const fn id(self) -> &'static str {
        match self {
            Self::ManageHost => "org.agentd1.manage-host",
            Self::ManageAgents => "org.agentd1.manage-agents",
            Self::ManageWorks => "org.agentd1.manage-works",
            Self::ManageBudgets => "org.agentd1.manage-budgets",
            Self::EraseContent => "org.agentd1.erase-content",
        }
    }

    /// The one with this id.
    pub fn of_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|presence| presence.id() == id)
    }

    /// What stands in the record of who did not prove it.
    pub const fn governs(self) -> Action {
        match self {
            Self::ManageHost => Action::HostManage,
            Self::ManageAgents => Action::AgentManage,
            Self::ManageWorks => Action::WorkManage,
            Self::ManageBudgets => Action::AccountManage,
            Self::EraseContent => Action::ContentManage,
        }
    }

    /// What has to be proved before a caller does what policy allowed it: nothing where it looks, or acts on its own.
    pub fn owed(set: &Set, caller: &Caller, action: Action, resource: &Resource) -> Option<Self> {
        if !caller.operator {
            return None;
        }
        let as_anybody = Caller { operator: false, ..caller.clone() };
        if matches!(set.authorize(&as_anybody, action, resource), Decision::Allow(_)) {
            return None;
        }
        match action {
            Action::HostManage | Action::LedgerBackup | Action::PolicyReload => Some(Self::ManageHost),
            Action::ContentManage => Some(Self::EraseContent),
            Action::AccountManage => Some(Self::ManageBudgets),
            Action::AgentEnrol
            | Action::AgentEnrolShared
            | Action::AgentManage
            | Action::AgentActivate
            | Action::AgentReinstate => Some(Self::ManageAgents),
            Action::WorkSubmit
            | Action::WorkManage
            | Action::WorkAnswer
            | Action::WorkJudge
            | Action::ScheduleManage
            | Action::ObjectiveManage
            | Action::FreezeOwn => Some(Self::ManageWorks),
            // What an operator sees it sees alone; agents' actions are no operator's.
            Action::WorkRead
            | Action::WorkClaim
            | Action::RunAct
            | Action::AgentRead
            | Action::ScheduleRead
            | Action::ObjectiveRead
            | Action::HostRead
            | Action::HostExamine
            | Action::HostMeasure
            | Action::LedgerReadAll
            | Action::LedgerReadOwn
            | Action::PolicyRead => None,
        }
    }
}

/// What comes of asking.
pub type Proving<'a> = Pin<Box<dyn Future<Output = Result<Assurance, Problem>> + Send + 'a>>;

/// Who can say that the sender of one message is there.
pub trait Witness: Send + Sync {
    /// Asks, in bounded time, and says how sure that makes us of who called. `on` is what is acted on.
    fn prove<'a>(&'a self, what: Presence, on: &'a str) -> Proving<'a>;
}

/// The witness of a caller; nobody is asked about root, the daemon itself, agents, or on a host of one user.
#[derive(Clone, Default)]
pub struct Witnessed(Option<Arc<dyn Witness>>);

impl Witnessed {
    /// Is vouched for by nobody.
    pub const fn nobody() -> Self {
        Self(None)
    }

    /// Is vouched for by this witness.
    pub fn by(witness: Arc<dyn Witness>) -> Self {
        Self(Some(witness))
    }

    /// Who is to be asked.
    pub fn witness(&self) -> Option<&dyn Witness> {
        self.0.as_deref()
    }
}

impl fmt::Debug for Witnessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Witnessed" } else { "Unwitnessed" })
    }
}

/// Who a caller is does not depend on who vouches for it.
impl PartialEq for Witnessed {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Witnessed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_proves_itself_for_what_is_not_its_own_and_for_nothing_that_it_looks_at() {
        let operator = Caller::person(1000, true, false);
        let owed = |action, resource: &Resource| Presence::owed(&Set::built_in(), &operator, action, resource);
        let (own, other) = (Resource::owned("work", 1000), Resource::owned("work", 1001));
        assert_eq!(owed(Action::WorkManage, &own), None);
        assert_eq!(owed(Action::WorkManage, &other), Some(Presence::ManageWorks));
        assert_eq!(owed(Action::WorkRead, &other), None);
        assert_eq!(owed(Action::LedgerReadAll, &Resource::host()), None);
        assert_eq!(owed(Action::HostManage, &Resource::host()), Some(Presence::ManageHost));
        assert_eq!(owed(Action::LedgerBackup, &Resource::host()), Some(Presence::ManageHost));
        assert_eq!(owed(Action::ContentManage, &own), Some(Presence::EraseContent));
        assert_eq!(owed(Action::AgentEnrol, &own), None);
        assert_eq!(owed(Action::AgentEnrolShared, &own), Some(Presence::ManageAgents));
        assert_eq!(owed(Action::AgentReinstate, &own), Some(Presence::ManageAgents));
    }

    #[test]
    fn who_is_no_operator_has_nothing_to_prove() {
        for caller in [Caller::person(1000, false, true), Caller::host(), Caller::agent("a".parse().unwrap(), 0)] {
            for action in Action::ALL {
                assert_eq!(
                    Presence::owed(&Set::built_in(), &caller, *action, &Resource::host()),
                    None,
                    "{}",
                    action.as_str()
                );
            }
        }
    }

    #[test]
    fn the_actions_are_those_that_polkit_is_told_of() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../systemd/usr/share/polkit-1/actions/org.agentd1.policy");
        let text = std::fs::read_to_string(file).unwrap();
        for action in Presence::ALL {
            assert!(text.contains(&format!("<action id=\"{}\">", action.id())), "{}", action.id());
        }
        assert_eq!(text.matches("<action id=").count(), Presence::ALL.len());
    }
}
