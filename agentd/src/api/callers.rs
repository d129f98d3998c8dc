//! Who is at a door: the uid that the kernel named, and the groups that give it more than its own.

use std::sync::Arc;

use crate::policy::Caller;
use crate::sys::peer::Peer;

/// The ids that make a caller an operator or an auditor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callers {
    /// Group of the operators; `None` when the host has none.
    pub operator_gid: Option<u32>,
    /// Group of the auditors; `None` when the host has none.
    pub auditor_gid: Option<u32>,
    /// The uid that the daemon runs as.
    pub own_uid: u32,
    /// Uids of automations: nobody sits there.
    pub automation: Arc<[u32]>,
}

impl Callers {
    /// The caller at the other end of a socket.
    pub fn of_peer(&self, peer: &Peer) -> Caller {
        self.person(peer.uid, |gid| peer.is_in_group(gid))
    }

    /// The caller with this uid and these groups, in any order.
    pub fn of_groups(&self, uid: u32, groups: &[u32]) -> Caller {
        self.person(uid, |gid| groups.contains(&gid))
    }

    fn person(&self, uid: u32, is_in: impl Fn(u32) -> bool) -> Caller {
        let operator = uid == 0 || uid == self.own_uid || self.operator_gid.is_some_and(&is_in);
        let caller = Caller::person(uid, operator, self.auditor_gid.is_some_and(&is_in));
        if self.automation.contains(&uid) { caller.unattended() } else { caller }
    }
}

#[cfg(test)]
mod tests {
    use super::Callers;
    use crate::sys::peer::Peer;

    fn host() -> Callers {
        Callers { operator_gid: Some(50), auditor_gid: Some(60), own_uid: 990, automation: [991, 0].into() }
    }

    #[test]
    fn root_the_daemons_own_user_and_the_operators_group_are_operators() {
        for (uid, groups, operator, auditor) in [
            (0, [].as_slice(), true, false),
            (990, &[], true, false),
            (1000, &[], false, false),
            (1000, &[50], true, false),
            (1000, &[100, 60], false, true),
            (1000, &[60, 50], true, true),
            (50, &[], false, false),
        ] {
            let caller = host().of_groups(uid, groups);
            assert_eq!((caller.uid, caller.operator, caller.auditor), (uid, operator, auditor), "{uid} {groups:?}");
        }
    }

    #[test]
    fn a_host_without_groups_has_no_operators_by_group() {
        let host = Callers { operator_gid: None, auditor_gid: None, ..host() };
        let caller = host.of_groups(1000, &[0, 50, 60, u32::MAX]);
        assert!(!caller.operator && !caller.auditor);
    }

    #[test]
    fn the_uid_of_an_automation_is_unattended_and_no_other() {
        use agentd_schemas::event::Assurance;
        for (uid, assurance) in [
            (0, Assurance::Unattended),
            (991, Assurance::Unattended),
            (990, Assurance::Session),
            (1000, Assurance::Session),
        ] {
            assert_eq!(host().of_groups(uid, &[50]).assurance, assurance, "{uid}");
        }
    }

    #[test]
    fn a_peer_is_an_operator_by_its_effective_group_too() {
        let peer = Peer { uid: 1000, gid: 50, pid: None, groups: vec![7, 60], pidfd: None, gone: false };
        let caller = host().of_peer(&peer);
        assert!(caller.operator && caller.auditor);
    }
}
