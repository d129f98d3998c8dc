//! Who is at a door: the uid that the kernel named, and the groups that let it in and give it more than its own.

use std::sync::Arc;

use crate::policy::Caller;
use crate::sys::peer::Peer;

/// The group whose members are users of a host that serves all its users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Users {
    /// Its id; `None` when the host has no such group, and then nobody is in it.
    pub gid: Option<u32>,
    /// Its name, for who is told that it is not in it.
    pub group: Arc<str>,
}

/// The ids that make a caller a user, an operator or an auditor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callers {
    /// Group of the operators; `None` when the host has none.
    pub operator_gid: Option<u32>,
    /// Its name, where it makes operators, for who is told that they alone may.
    pub operators: Option<Arc<str>>,
    /// Group of the auditors; `None` when the host has none.
    pub auditor_gid: Option<u32>,
    /// Who is a user at all; `None` where everybody is who reaches the daemon.
    pub users: Option<Users>,
    /// The uid that the daemon runs as.
    pub own_uid: u32,
    /// Whether operators prove to polkit that they are there: on a host of many users.
    pub asks_polkit: bool,
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

    /// Whether a caller has to prove that it is there, for what only operators may do. Root could grant itself the proof,
    /// and who is the daemon is nobody else.
    pub fn must_prove(&self, caller: &Caller) -> bool {
        self.asks_polkit && caller.operator && caller.uid != 0 && caller.uid != self.own_uid
    }

    fn person(&self, uid: u32, is_in: impl Fn(u32) -> bool) -> Caller {
        let operator = uid == 0 || uid == self.own_uid || self.operator_gid.is_some_and(&is_in);
        let caller = Caller::person(uid, operator, self.auditor_gid.is_some_and(&is_in));
        let caller = if self.automation.contains(&uid) { caller.unattended() } else { caller };
        let caller = match &self.operators {
            Some(operators) if !caller.operator => caller.governed_by(operators.clone()),
            _ => caller,
        };
        match &self.users {
            Some(users) if !caller.operator && !users.gid.is_some_and(is_in) => caller.outside_of(users.group.clone()),
            _ => caller,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Callers, Users};
    use crate::sys::peer::Peer;

    fn host() -> Callers {
        Callers {
            operator_gid: Some(50),
            operators: Some("agentd-operator".into()),
            auditor_gid: Some(60),
            users: None,
            own_uid: 990,
            asks_polkit: true,
            automation: [991, 0].into(),
        }
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
    fn operators_by_group_prove_that_they_are_there_and_nobody_else() {
        let proves = |uid, groups: &[u32]| host().must_prove(&host().of_groups(uid, groups));
        assert!(proves(1000, &[50]));
        assert!(!proves(0, &[50]) && !proves(990, &[50]) && !proves(1000, &[60]));
        assert!(!Callers { asks_polkit: false, ..host() }.must_prove(&host().of_groups(1000, &[50])));
    }

    #[test]
    fn a_host_without_groups_has_no_operators_by_group() {
        let host = Callers { operator_gid: None, auditor_gid: None, asks_polkit: false, ..host() };
        let caller = host.of_groups(1000, &[0, 50, 60, u32::MAX]);
        assert!(!caller.operator && !caller.auditor);
    }

    #[test]
    fn who_is_in_none_of_the_groups_of_a_host_that_serves_all_is_outside() {
        let mut of_users = Callers { users: Some(Users { gid: Some(40), group: "agentd".into() }), ..host() };
        for (uid, groups, is_outside) in [
            (0, [].as_slice(), false),
            (990, &[], false),
            (1000, &[], true),
            (1000, &[100, 41], true),
            (1000, &[40], false),
            (1000, &[50], false),
            (1000, &[60], true),
            (1000, &[40, 60], false),
            (40, &[], true),
        ] {
            let caller = of_users.of_groups(uid, groups);
            assert_eq!(caller.outside.as_deref(), is_outside.then_some("agentd"), "{uid} {groups:?}");
        }
        of_users.users = Some(Users { gid: None, group: "agentd".into() });
        assert!(of_users.of_groups(1000, &[40]).outside.is_some(), "nobody is in a group that is not there");
        assert!(of_users.of_groups(1000, &[50]).outside.is_none() && host().of_groups(1000, &[]).outside.is_none());
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
