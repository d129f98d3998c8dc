//! What the built-in rules and the defaults decide.

use super::*;
use agentd_schemas::event::Actor;

mod guards;
mod old;
mod sets;

fn authorize(caller: &Caller, action: Action, resource: &Resource) -> Decision {
    Set::built_in().authorize(caller, action, resource)
}

fn allow(rule: &str) -> Decision {
    Decision::Allow(rule.into())
}

fn deny(rule: &str) -> Decision {
    Decision::Deny(rule.into())
}

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
        for (name, own) in [("work w-7kq3x2mbnd5fa6uz", true), ("work w-aaaaaaaaaaaaaaaa", false), ("host", false)] {
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
        let judges =
            matches!(action, Action::WorkJudge | Action::WorkAnswer | Action::AgentActivate | Action::AgentReinstate);
        assert_eq!(allowed(&automation), allowed(&person) && !judges, "{}", action.as_str());
    }
}

#[test]
fn an_agent_may_not_speak_for_the_run_of_another() {
    let other = Resource { agent: Some("other".parse().unwrap()), ..Resource::owned("work", 1000) };
    assert_eq!(authorize(&agent(1000), Action::RunAct, &other), deny("no_rule"));
}

#[test]
fn a_stranger_may_neither_see_nor_manage_a_work() {
    let stranger = Caller::person(1001, false, false);
    let work = Resource::owned("work", 1000);
    for action in [Action::WorkRead, Action::WorkManage, Action::WorkJudge, Action::FreezeOwn] {
        assert_eq!(authorize(&stranger, action, &work), deny("no_rule"), "{}", action.as_str());
    }
}

#[test]
fn who_is_in_no_group_sees_the_status_and_reaches_nothing_of_its_own() {
    let outsider = Caller::person(1001, false, false).outside_of("agentd".into());
    for action in Action::ALL {
        for resource in [Resource::owned("work", 1001), Resource::owned("work", 1000), Resource::host()] {
            let decided = authorize(&outsider, *action, &resource);
            let expected = match action {
                Action::HostRead => allow("person.looks_around"),
                _ => deny("person.is_in_a_group"),
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
        assert_eq!(matches!(decided, Decision::Allow(_)), rules::is_reading(*action), "{}", action.as_str());
    }
}

#[test]
fn an_auditor_sees_everything_and_changes_nothing() {
    let auditor = Caller::person(1001, false, true);
    let work = Resource::owned("work", 1000);
    assert_eq!(authorize(&auditor, Action::WorkRead, &work), allow("auditor.reads_everything"));
    assert_eq!(authorize(&auditor, Action::LedgerReadAll, &Resource::host()), allow("auditor.reads_everything"));
    let measure = |caller| authorize(&caller, Action::HostMeasure, &Resource::host());
    assert_eq!(measure(auditor.clone()), allow("auditor.reads_everything"));
    assert_eq!(measure(Caller::person(1001, false, false)), deny("no_rule"));
    assert_eq!(authorize(&auditor, Action::WorkManage, &work), deny("no_rule"));
    assert_eq!(authorize(&auditor, Action::LedgerBackup, &Resource::host()), deny("no_rule"));
}

#[test]
fn what_the_daemon_does_by_itself_names_the_rule_that_allows_it() {
    let Decision::Allow(rule) = authorize(&Caller::host(), Action::WorkManage, &Resource::host()) else {
        panic!("refused");
    };
    assert_eq!(by_host(), &Set::built_in().decided(&rule));
}

#[test]
fn the_page_on_security_has_every_rule_in_its_words_and_order() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once("\n| rule | says |\n|---|---|\n").unwrap();
    let (table, after) = table.split_once("\n\n").unwrap();
    let written: Vec<&str> = table.lines().collect();
    let set = Set::built_in();
    let built_in = built_in_rules().map(|(id, says, _)| format!("| `{id}` | {says} |"));
    let defaults = set.policies().iter().map(|known| format!("| `{}` | {} |", known.id, known.says.as_ref().unwrap()));
    assert_eq!(written, built_in.chain(defaults).collect::<Vec<_>>());
    let forbid = built_in_rules().take_while(|(.., forbids)| *forbids).count();
    assert_eq!(forbid, built_in_rules().filter(|(.., forbids)| *forbids).count(), "prohibitions come first");
    let number = ["no", "one", "two", "three", "four", "five", "six", "seven"][forbid];
    assert!(after.starts_with(&format!("The first {number} forbid ")), "{forbid}: {after:.40}");
}

#[test]
fn the_set_has_one_digest_and_each_rule_its_own_id() {
    let set = Set::built_in();
    assert_eq!(set.digest().len(), 64);
    let ids =
        built_in_rules().map(|(id, ..)| id.to_owned()).chain(set.policies().iter().map(|known| known.id.to_string()));
    let ids: Vec<String> = ids.collect();
    assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), ids.len());
}
