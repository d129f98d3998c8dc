//! A host's own policies above the defaults.

use super::*;
use requests::{try_all, try_defaults};

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), bytes: text.into() }
}

fn set(text: &str) -> Set {
    Set::build(&Sources { policies: vec![source("local.cedar", text)], requests: Vec::new() }).unwrap()
}

#[test]
fn the_defaults_pass_their_own_examples() {
    let tried = try_defaults().unwrap();
    assert!(tried.len() > 15 && tried.iter().all(|tried| tried.holds), "{tried:#?}");
    let named: Vec<_> = tried.iter().map(|tried| tried.answered.as_str()).collect();
    let set = Set::built_in();
    let ids = set.policies().iter().map(|known| known.id.to_string());
    let ids = ids.chain(built_in_rules().map(|(id, ..)| id.to_owned()).filter(|id| id != "host.acts_by_rule"));
    for id in ids {
        assert!(named.iter().any(|answer| answer.ends_with(&format!(" by {id}"))), "no example is decided by {id}");
    }
}

#[test]
fn the_schema_has_every_action_and_no_other() {
    let known: std::collections::BTreeSet<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
    let schema = compile::validator().schema();
    let written = schema.actions().map(|uid| uid.eid().escaped().to_string()).filter(|name| name.contains('.'));
    assert_eq!(
        written.collect::<std::collections::BTreeSet<_>>(),
        known.iter().map(|name| (*name).to_owned()).collect()
    );
}

#[test]
fn a_host_forbids_what_a_default_allows_and_allows_what_none_does() {
    let set = set("@id(\"team.no_submits\") @says(\"nobody submits on Mondays\")\n\
         forbid (principal is Agentd::User, action == Agentd::Action::\"work.submit\", resource);\n\
         @id(\"team.dora_freezes\")\n\
         permit (principal == Agentd::User::\"1001\", action == Agentd::Action::\"host.manage\", resource);\n");
    let dora = Caller::person(1001, false, false);
    let decide = |action, resource: &Resource| set.authorize(&dora, action, resource);
    assert_eq!(decide(Action::WorkSubmit, &Resource::own("works of one's own", &dora)), deny("team.no_submits"));
    assert_eq!(decide(Action::WorkManage, &Resource::own("work w", &dora)), allow("owner.manages_its_own"));
    assert_eq!(decide(Action::HostManage, &Resource::host()), allow("team.dora_freezes"));
    assert_eq!(set.says("team.no_submits"), Some("nobody submits on Mondays"));
    assert_ne!(set.digest(), Set::built_in().digest());
    assert_eq!(set.decided("host.acts_by_rule"), *by_host(), "what the daemon does rests on what is built in");
}

#[test]
fn no_file_takes_away_what_is_built_in() {
    let set = set("@id(\"all\") permit (principal, action, resource);\n");
    for caller in [
        Caller::agent("fixer".parse().unwrap(), 0),
        Caller::run("fixer".parse().unwrap(), 0, "w-7kq3x2mbnd5fa6uz.1".parse().unwrap()),
        Caller::person(0, true, true).unattended(),
        Caller::person(1001, false, false).outside_of("agentd".into()),
    ] {
        for action in Action::ALL {
            let resource = Resource::owned("work w-aaaaaaaaaaaaaaaa", 0);
            let built_in = rules::forbidden(&caller, *action, &resource);
            let decided = set.authorize(&caller, *action, &resource);
            match built_in {
                Some(rule) => assert_eq!(decided, deny(rule.id), "{}", action.as_str()),
                None => assert!(matches!(decided, Decision::Allow(_)), "{}", action.as_str()),
            }
        }
    }
    let shut = self::set("@id(\"none\") forbid (principal, action, resource);\n");
    assert_eq!(shut.authorize(&Caller::host(), Action::WorkManage, &Resource::host()), allow("host.acts_by_rule"));
}

#[test]
fn a_forbid_that_errs_denies_and_is_an_alarm() {
    let set = set(
        "@id(\"team.sum\")\nforbid (principal is Agentd::User, action == Agentd::Action::\"host.read\", resource)\n\
                   when { principal.uid + 9223372036854775807 < 0 };",
    );
    assert_eq!(set.alarm(), None);
    let (root, dora) = (Caller::person(0, true, false), Caller::person(1001, false, false));
    assert_eq!(set.authorize(&root, Action::HostRead, &Resource::host()), allow("operator.manages_the_host"));
    for _ in 0..2 {
        assert_eq!(set.authorize(&dora, Action::HostRead, &Resource::host()), deny(BROKEN));
    }
    let alarm = set.alarm().unwrap();
    assert!(alarm.contains("team.sum") && alarm.contains("overflow") && alarm.contains("host.read"), "{alarm}");
    assert!(!set.explain(&dora, Action::HostRead, &Resource::host()).errors.is_empty());
}

#[test]
fn every_policy_that_decided_is_told_and_the_first_is_recorded() {
    let set = set("@id(\"one\") forbid (principal, action == Agentd::Action::\"host.read\", resource);\n\
                   @id(\"two\") forbid (principal in Agentd::Group::\"users\", action in Agentd::Action::\"reading\", resource);\n");
    let explained = set.explain(&Caller::person(7, false, false), Action::HostRead, &Resource::host());
    assert_eq!(explained.decision, deny("one"));
    let told: Vec<_> =
        explained.policies.iter().map(|known| format!("{} {}:{}", known.id, known.file, known.line)).collect();
    assert_eq!(told, ["one local.cedar:1", "two local.cedar:2"]);
}

#[test]
fn a_decision_that_is_kept_is_that_of_its_question_alone() {
    let set = set("@id(\"a\") forbid (principal, action, resource) when { context.run };\n\
                   @id(\"b\") forbid (principal is Agentd::User, action, resource) when { principal.unattended };\n");
    let name: Slug = "fixer".parse().unwrap();
    let work = Resource { agent: Some(name.clone()), ..Resource::owned("work w-7kq3x2mbnd5fa6uz", 7) };
    let run = Caller::run(name.clone(), 7, "w-7kq3x2mbnd5fa6uz.1".parse().unwrap());
    for _ in 0..2 {
        assert_eq!(
            set.authorize(&Caller::agent(name.clone(), 7), Action::RunAct, &work),
            allow("agent.acts_in_its_own_run")
        );
        assert_eq!(set.authorize(&run, Action::RunAct, &work), deny("a"));
        let owner = Caller::person(7, false, false);
        assert_eq!(set.authorize(&owner, Action::WorkManage, &work), allow("owner.manages_its_own"));
        assert_eq!(set.authorize(&owner.clone().unattended(), Action::WorkManage, &work), deny("b"));
        assert_eq!(set.authorize(&Caller::person(8, false, false), Action::WorkManage, &work), deny("no_rule"));
    }
}

#[test]
fn while_policies_are_missing_nothing_begins_and_everything_can_be_looked_at_and_mended() {
    let shut = Set::shut();
    let root = Caller::person(0, true, false);
    let allowed = |caller: &Caller, action| {
        matches!(shut.authorize(caller, action, &Resource::own("work w", caller)), Decision::Allow(_))
    };
    for action in Action::ALL {
        let looks = matches!(
            action,
            Action::HostRead
                | Action::HostExamine
                | Action::HostMeasure
                | Action::LedgerReadOwn
                | Action::LedgerReadAll
                | Action::PolicyRead
                | Action::PolicyReload
        );
        assert_eq!(allowed(&root, *action), looks, "{}", action.as_str());
    }
    assert_eq!(shut.authorize(&root, Action::WorkSubmit, &Resource::host()), deny(UNREADABLE));
    let agent = Caller::agent("fixer".parse().unwrap(), 7);
    assert!(!allowed(&agent, Action::WorkClaim) && allowed(&agent, Action::RunAct));
    assert!(matches!(shut.authorize(&Caller::host(), Action::HostManage, &Resource::host()), Decision::Allow(_)));
    assert_ne!(shut.digest(), Set::built_in().digest());
}

#[test]
fn examples_that_do_not_hold_refuse_the_set() {
    let policies = vec![source(
        "local.cedar",
        "@id(\"a\") forbid (principal, action == Agentd::Action::\"work.submit\", resource);",
    )];
    let with = |text: &str| Sources { policies: policies.clone(), requests: vec![source("local.requests.toml", text)] };
    let request = |expect: &str| {
        format!(
            "[[request]]\nprincipal = \"user:7\"\naction = \"work.submit\"\non = \"work:new\"\nowner = 7\nexpect = \"{expect}\"\nrule = \"a\"\n"
        )
    };
    let set = Set::build(&with(&request("deny"))).unwrap();
    assert_eq!(try_all(&set, &with(&request("deny"))).unwrap().len(), 1);
    let rejected = Set::build(&with(&request("allow"))).unwrap_err();
    assert_eq!(rejected.reason, "request 1 (user:7 work.submit work:new): expected allow by a, got deny by a");
    for (text, place, reason) in [
        ("[[request]]\nprincpal = 1\n", "local.requests.toml:2:1", "princpal"),
        (&request("maybe"), "local.requests.toml:6:10", "maybe"),
        (&request("deny").replace("work.submit", "work.sing"), "local.requests.toml", "work.sing"),
        (&request("deny").replace("user:7", "uid 7"), "local.requests.toml", "neither"),
        (&request("deny").replace("work:new", "new"), "local.requests.toml", "is none of"),
    ] {
        let rejected = Set::build(&with(text)).unwrap_err();
        assert_eq!(rejected.place(), place, "{rejected}");
        assert!(rejected.reason.contains(reason), "{rejected}");
    }
    let orphan = Sources { policies: Vec::new(), requests: vec![source("x.requests.toml", "")] };
    assert!(Set::build(&orphan).unwrap_err().reason.contains("no x.cedar beside it"));
}
