//! The rules as they were built in before they were policies. The defaults must decide the same, in every case.

use super::*;

fn is_person(caller: &Caller) -> bool {
    matches!(caller.actor, Actor::Uid(_))
}

fn is_owners(action: Action) -> bool {
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

fn is_reading(action: Action) -> bool {
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

fn is_agents(action: Action) -> bool {
    matches!(action, Action::WorkClaim | Action::RunAct | Action::WorkSubmit | Action::WorkRead | Action::AgentRead)
}

fn forbids(caller: &Caller, action: Action, on: &Resource) -> Option<&'static str> {
    use agentd_schemas::event::Assurance;
    let is_agent = caller.agent_name().is_some();
    if caller.outside.is_some() && action != Action::HostRead && !(caller.auditor && is_reading(action)) {
        return Some("person.is_in_a_group");
    }
    if is_agent && !is_agents(action) {
        return Some("agent.never_governs");
    }
    if is_agent && on.suspended {
        return Some("agent.suspended_is_shut_out");
    }
    let of_run = matches!(action, Action::RunAct | Action::WorkSubmit | Action::WorkRead);
    if caller.run.is_some_and(|run| !of_run || on.name != format!("work {}", run.work)) {
        return Some("run.speaks_for_itself");
    }
    let judges =
        matches!(action, Action::WorkJudge | Action::WorkAnswer | Action::AgentActivate | Action::AgentReinstate);
    (caller.assurance == Assurance::Unattended && judges).then_some("automation.never_judges")
}

fn permits(caller: &Caller, action: Action, on: &Resource) -> Option<&'static str> {
    let is_agent = caller.agent_name().is_some();
    if caller.actor == Actor::Host {
        return Some("host.acts_by_rule");
    }
    if is_agent && action == Action::WorkClaim {
        return Some("agent.works_for_its_owner");
    }
    let in_run = matches!(action, Action::RunAct | Action::WorkSubmit | Action::WorkRead | Action::AgentRead);
    if in_run && is_agent && on.agent.as_ref() == caller.agent_name() {
        return Some("agent.acts_in_its_own_run");
    }
    if caller.operator && !matches!(action, Action::WorkClaim | Action::RunAct) {
        return Some("operator.manages_the_host");
    }
    if caller.auditor && is_reading(action) {
        return Some("auditor.reads_everything");
    }
    if is_person(caller) && on.owner == Some(caller.uid) && is_owners(action) {
        return Some("owner.manages_its_own");
    }
    let looks = matches!(action, Action::HostRead | Action::HostExamine | Action::LedgerReadOwn | Action::PolicyRead);
    (is_person(caller) && looks).then_some("person.looks_around")
}

fn old(caller: &Caller, action: Action, on: &Resource) -> Decision {
    match (forbids(caller, action, on), permits(caller, action, on)) {
        (Some(rule), _) => deny(rule),
        (None, Some(rule)) => allow(rule),
        (None, None) => deny("no_rule"),
    }
}

fn callers() -> Vec<Caller> {
    let mut callers = vec![Caller::host()];
    for uid in [1000, 1001] {
        for (operator, auditor) in [(false, false), (true, false), (false, true), (true, true)] {
            let person = Caller::person(uid, operator, auditor);
            callers.push(person.clone().unattended());
            callers.push(person.clone().outside_of("agentd".into()));
            callers.push(person.clone().governed_by("agentd-operator".into()));
            callers.push(person);
        }
        for name in ["fixer", "other"] {
            callers.push(Caller::agent(name.parse().unwrap(), uid));
            for run in ["w-7kq3x2mbnd5fa6uz.1", "w-aaaaaaaaaaaaaaaa.7"] {
                callers.push(Caller::run(name.parse().unwrap(), uid, run.parse().unwrap()));
            }
        }
    }
    callers
}

fn resources() -> Vec<Resource> {
    let names = [
        "work w-7kq3x2mbnd5fa6uz",
        "works of one's own",
        "agent fixer",
        "schedule nightly",
        "objective o",
        "account owner:1000",
        "host",
    ];
    let mut resources = Vec::new();
    for name in names {
        for owner in [None, Some(1000)] {
            for agent in [None, Some("fixer"), Some("other")] {
                for suspended in [false, true] {
                    let agent = agent.map(|agent| agent.parse().unwrap());
                    resources.push(Resource { name: name.to_owned(), owner, agent, suspended });
                }
            }
        }
    }
    resources
}

#[test]
fn the_defaults_decide_as_the_rules_did_that_were_built_in() {
    let mut cases = 0;
    for caller in callers() {
        for resource in resources() {
            for action in Action::ALL {
                let expected = old(&caller, *action, &resource);
                let decided = authorize(&caller, *action, &resource);
                assert_eq!(decided, expected, "{caller:?} {} {resource:?}", action.as_str());
                cases += 1;
            }
        }
    }
    assert!(cases > 80_000, "{cases}");
    assert_eq!(Set::built_in().alarm(), None);
}
