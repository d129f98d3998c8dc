//! The built-in rules, in the order in which they are tried: prohibitions first.

use agentd_schemas::event::{Actor, Assurance, Decided};
use sha2::{Digest as _, Sha256};

use super::{Action, Caller, Decision, Resource};

/// One rule: its id, and what it says. Both are part of the digest of the set.
pub struct Rule {
    /// Stable id, as recorded in events.
    pub id: &'static str,
    /// What it says.
    pub says: &'static str,
    permit: bool,
    applies: fn(&Caller, Action, &Resource) -> bool,
}

/// Version of the meaning of the rules below: it goes up when a predicate changes and its words do not.
const SET_VERSION: u32 = 1;

/// The rule for what the daemon does by itself.
const HOST_ACTS: &str = "host.acts_by_rule";

/// The set.
pub const RULES: &[Rule] = &[
    Rule {
        id: "person.is_in_a_group",
        says: "on a host that agentd serves as a whole, who is not in its group of users may see the host's status, an auditor everything, and change nothing",
        permit: false,
        applies: |caller, action, _| {
            caller.outside.is_some() && action != Action::HostRead && !(caller.auditor && is_reading(action))
        },
    },
    Rule {
        id: "agent.never_governs",
        says: "an agent may only claim, act in its own runs, submit parts of its work and read what it works on",
        permit: false,
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
        permit: false,
        applies: |caller, _, resource| caller.agent_name().is_some() && resource.suspended,
    },
    Rule {
        id: "run.speaks_for_itself",
        says: "a run at its own socket may act in itself alone, submit parts of its work and read it; it claims and decides nothing",
        permit: false,
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
        permit: false,
        applies: |caller, action, _| {
            caller.assurance == Assurance::Unattended
                && matches!(
                    action,
                    Action::WorkJudge | Action::WorkAnswer | Action::AgentActivate | Action::AgentReinstate
                )
        },
    },
    Rule {
        id: HOST_ACTS,
        says: "the daemon may do what its timers, its recovery and its effects demand",
        permit: true,
        applies: |caller, _, _| caller.actor == Actor::Host,
    },
    Rule {
        id: "agent.works_for_its_owner",
        says: "an agent may claim work",
        permit: true,
        applies: |caller, action, _| caller.agent_name().is_some() && action == Action::WorkClaim,
    },
    Rule {
        id: "agent.acts_in_its_own_run",
        says: "an agent may speak for a run that it holds, submit parts of that work, and read it and itself",
        permit: true,
        applies: |caller, action, resource| {
            matches!(action, Action::RunAct | Action::WorkSubmit | Action::WorkRead | Action::AgentRead)
                && caller.agent_name().is_some()
                && resource.agent.as_ref() == caller.agent_name()
        },
    },
    Rule {
        id: "operator.manages_the_host",
        says: "an operator may do everything that a person may do",
        permit: true,
        applies: |caller, action, _| caller.operator && !matches!(action, Action::WorkClaim | Action::RunAct),
    },
    Rule {
        id: "auditor.reads_everything",
        says: "an auditor may see everything and change nothing",
        permit: true,
        applies: |caller, action, _| caller.auditor && is_reading(action),
    },
    Rule {
        id: "owner.manages_its_own",
        says: "an owner may manage its own works, agents, schedules and objectives, and freeze them",
        permit: true,
        applies: |caller, action, resource| {
            is_person(caller) && resource.owner == Some(caller.uid) && is_owners(action)
        },
    },
    Rule {
        id: "person.looks_around",
        says: "everybody on the host may see its status and what agentd found out about it, and read the log of what is its own",
        permit: true,
        applies: |caller, action, _| {
            is_person(caller) && matches!(action, Action::HostRead | Action::HostExamine | Action::LedgerReadOwn)
        },
    },
];

fn is_person(caller: &Caller) -> bool {
    matches!(caller.actor, Actor::Uid(_))
}

const fn is_reading(action: Action) -> bool {
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
    )
}

const fn is_owners(action: Action) -> bool {
    matches!(
        action,
        Action::WorkSubmit
            | Action::WorkRead
            | Action::WorkManage
            | Action::WorkAnswer
            | Action::WorkJudge
            | Action::AgentActivate
            | Action::AgentEnrol
            | Action::AgentRead
            | Action::AgentManage
            | Action::ScheduleManage
            | Action::ScheduleRead
            | Action::ObjectiveManage
            | Action::ObjectiveRead
            | Action::FreezeOwn
    )
}

/// Decides: the first prohibition that applies denies, else the first permission that applies allows, else `no_rule`.
pub fn authorize(caller: &Caller, action: Action, resource: &Resource) -> Decision {
    let applying =
        |permit: bool| RULES.iter().find(|rule| rule.permit == permit && (rule.applies)(caller, action, resource));
    if let Some(rule) = applying(false) {
        return Decision::Deny(rule.id);
    }
    applying(true).map_or(Decision::Deny("no_rule"), |rule| Decision::Allow(rule.id))
}

/// SHA-256 (hex) of the set: version, ids and words.
pub fn set_digest() -> &'static str {
    static DIGEST: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    DIGEST.get_or_init(|| {
        let mut hash = Sha256::new();
        hash.update(SET_VERSION.to_be_bytes());
        for rule in RULES {
            let kind: &[u8] = if rule.permit { b"permit" } else { b"forbid" };
            for part in [kind, rule.id.as_bytes(), rule.says.as_bytes()] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        data_encoding::HEXLOWER.encode(&hash.finalize())
    })
}

/// The decision that stands in what the daemon does by itself. It is made once.
pub fn by_host() -> &'static Decided {
    static BY_HOST: std::sync::OnceLock<Decided> = std::sync::OnceLock::new();
    BY_HOST.get_or_init(|| Decided { rules: vec![HOST_ACTS.to_owned()], set: set_digest().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(uid: u32) -> Caller {
        Caller::agent("fixer".parse().unwrap(), uid)
    }

    #[test]
    fn an_agent_reaches_nothing_that_persons_decide_even_as_root() {
        for action in Action::ALL {
            let resource = Resource { agent: Some("fixer".parse().unwrap()), ..Resource::owned("work", 0) };
            let allowed = matches!(authorize(&agent(0), *action, &resource), Decision::Allow(_));
            let own = matches!(
                action,
                Action::WorkClaim | Action::RunAct | Action::WorkSubmit | Action::WorkRead | Action::AgentRead
            );
            assert_eq!(allowed, own, "{}", action.as_str());
        }
    }

    #[test]
    fn a_run_acts_in_its_own_work_and_reaches_no_other_of_its_agent() {
        let run: agentd_schemas::id::RunId = "w-7kq3x2mbnd5fa6uz.1".parse().unwrap();
        let caller = Caller::run("fixer".parse().unwrap(), 0, run);
        for action in Action::ALL {
            for (name, own) in [("work w-7kq3x2mbnd5fa6uz", true), ("work w-aaaaaaaaaaaaaaaa", false), ("host", false)]
            {
                let resource = Resource { agent: Some("fixer".parse().unwrap()), ..Resource::owned(name, 0) };
                let allowed = matches!(authorize(&caller, *action, &resource), Decision::Allow(_));
                let may = own && matches!(action, Action::RunAct | Action::WorkSubmit | Action::WorkRead);
                assert_eq!(allowed, may, "{} on {name}", action.as_str());
            }
        }
    }

    #[test]
    fn an_automation_manages_and_judges_nothing_even_as_root() {
        let person = Caller::person(0, true, false);
        let automation = person.clone().unattended();
        for action in Action::ALL {
            let allowed =
                |caller: &Caller| matches!(authorize(caller, *action, &Resource::owned("work", 0)), Decision::Allow(_));
            let judges = matches!(
                action,
                Action::WorkJudge | Action::WorkAnswer | Action::AgentActivate | Action::AgentReinstate
            );
            assert_eq!(allowed(&automation), allowed(&person) && !judges, "{}", action.as_str());
        }
    }

    #[test]
    fn an_agent_may_not_speak_for_the_run_of_another() {
        let other = Resource { agent: Some("other".parse().unwrap()), ..Resource::owned("work", 1000) };
        assert_eq!(authorize(&agent(1000), Action::RunAct, &other), Decision::Deny("no_rule"));
    }

    #[test]
    fn a_stranger_may_neither_see_nor_manage_a_work() {
        let stranger = Caller::person(1001, false, false);
        let work = Resource::owned("work", 1000);
        for action in [Action::WorkRead, Action::WorkManage, Action::WorkJudge, Action::FreezeOwn] {
            assert_eq!(authorize(&stranger, action, &work), Decision::Deny("no_rule"), "{}", action.as_str());
        }
    }

    #[test]
    fn who_is_in_no_group_sees_the_status_and_reaches_nothing_of_its_own() {
        let outsider = Caller::person(1001, false, false).outside_of("agentd".into());
        for action in Action::ALL {
            for resource in [Resource::owned("work", 1001), Resource::owned("work", 1000), Resource::host()] {
                let decided = authorize(&outsider, *action, &resource);
                let expected = match action {
                    Action::HostRead => Decision::Allow("person.looks_around"),
                    _ => Decision::Deny("person.is_in_a_group"),
                };
                assert_eq!(decided, expected, "{} on {resource:?}", action.as_str());
            }
        }
    }

    #[test]
    fn an_auditor_who_is_no_user_changes_nothing_of_its_own_either() {
        let auditor = Caller::person(1001, false, true).outside_of("agentd".into());
        for action in Action::ALL {
            let decided = authorize(&auditor, *action, &Resource::owned("work", 1001));
            assert_eq!(matches!(decided, Decision::Allow(_)), is_reading(*action), "{}", action.as_str());
        }
    }

    #[test]
    fn an_auditor_sees_everything_and_changes_nothing() {
        let auditor = Caller::person(1001, false, true);
        let work = Resource::owned("work", 1000);
        assert_eq!(authorize(&auditor, Action::WorkRead, &work), Decision::Allow("auditor.reads_everything"));
        assert_eq!(
            authorize(&auditor, Action::LedgerReadAll, &Resource::host()),
            Decision::Allow("auditor.reads_everything")
        );
        let measure = |caller| authorize(&caller, Action::HostMeasure, &Resource::host());
        assert_eq!(measure(auditor.clone()), Decision::Allow("auditor.reads_everything"));
        assert_eq!(measure(Caller::person(1001, false, false)), Decision::Deny("no_rule"));
        assert_eq!(authorize(&auditor, Action::WorkManage, &work), Decision::Deny("no_rule"));
        assert_eq!(authorize(&auditor, Action::LedgerBackup, &Resource::host()), Decision::Deny("no_rule"));
    }

    #[test]
    fn what_the_daemon_does_by_itself_names_the_rule_that_allows_it() {
        let Decision::Allow(rule) = authorize(&Caller::host(), Action::WorkManage, &Resource::host()) else {
            panic!("refused");
        };
        assert_eq!((&by_host().rules[..], by_host().set.as_str()), (&[rule.to_owned()][..], set_digest()));
    }

    #[test]
    fn the_page_on_security_has_every_rule_in_its_words_and_order() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
        let page = std::fs::read_to_string(page).unwrap();
        let (_, table) = page.split_once("\n| rule | says |\n|---|---|\n").unwrap();
        let (table, after) = table.split_once("\n\n").unwrap();
        let written: Vec<&str> = table.lines().collect();
        let rows: Vec<String> = RULES.iter().map(|rule| format!("| `{}` | {} |", rule.id, rule.says)).collect();
        assert_eq!(written, rows);
        let forbid = RULES.iter().take_while(|rule| !rule.permit).count();
        assert_eq!(forbid, RULES.iter().filter(|rule| !rule.permit).count(), "prohibitions come first");
        let number = ["no", "one", "two", "three", "four", "five", "six", "seven"][forbid];
        assert!(after.starts_with(&format!("The first {number} forbid ")), "{forbid}: {after:.40}");
    }

    #[test]
    fn the_set_has_one_digest_and_each_rule_its_own_id() {
        assert_eq!(set_digest().len(), 64);
        let ids: std::collections::HashSet<_> = RULES.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), RULES.len());
    }
}
