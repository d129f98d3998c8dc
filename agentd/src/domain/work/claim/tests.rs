use agentd_schemas::event::{Actor, AgentState, EventData};

use super::*;
use crate::domain::fixture;

/// `fixer` is free and the work is ready: it gets it.
fn free() -> ClaimFacts {
    let agent = Candidate { live: 0, ..fixture::agent().candidate };
    let first = WorkFacts { state: WorkState::Ready, attempts: 0, run: None, ..fixture::work() };
    ClaimFacts { agent, first: Some(first), frozen: Vec::new(), accounts: Vec::new() }
}

fn spent(most: u64) -> AccountFacts {
    let (max_cost, name) = (Some(most), "host/day/2026-11-22".to_owned());
    AccountFacts { name, max_cost, max_tokens: None, spent: 4, reserved: 1, tokens: 0, reserved_tokens: 0 }
}

#[test]
fn a_claim_says_who_has_what_for_how_long_under_which_fence() {
    let env = fixture::env();
    let drafts = claim(&free(), 30_000, &env).unwrap();
    let [draft] = drafts.as_slice() else { panic!("{drafts:?}") };
    let EventData::WorkClaimed(claimed) = &draft.data else { panic!("{draft:?}") };
    assert_eq!((claimed.agent.as_str(), claimed.attempt, claimed.lease_ms), ("fixer", 1, 30_000));
    assert_eq!((claimed.fence.incarnation, claimed.fence.n), (1, env.next_index), "the fence is the claim's own index");
    assert_eq!(claimed.matched_by, "no_skill_needed");
    let work = fixture::work().id;
    assert_eq!((draft.run, draft.epoch), (Some(RunId { work, attempt: 1 }), Some(1)));
    assert_eq!(draft.on_behalf, Some(Actor::Uid(1000)));
}

#[test]
fn what_stands_in_the_way_of_a_claim_is_no_error() {
    type Change = fn(&mut ClaimFacts);
    let spec = |facts: &mut ClaimFacts, change: fn(&mut agentd_schemas::event::WorkSubmitted)| {
        change(std::sync::Arc::make_mut(&mut facts.first.as_mut().unwrap().spec));
    };
    let changes: [(&str, Change); 11] = [
        ("there is no work", |facts| facts.first = None),
        ("the host is frozen", |facts| facts.frozen.push(Scope::All)),
        ("the work is frozen", |facts| facts.frozen.push(Scope::Work(fixture::work().id))),
        ("the agent is frozen", |facts| facts.frozen.push(Scope::Agent("fixer".parse().unwrap()))),
        ("its hands are full", |facts| facts.agent.live = 1),
        ("on probation it has one hand", |facts| (facts.agent.live, facts.agent.max_concurrency) = (1, 9)),
        ("nothing is left to spend", |facts| facts.accounts = vec![spent(100), spent(5)]),
        ("its key is revoked", |facts| facts.agent.key_revoked = true),
        ("it works for another", |facts| facts.agent.owner = 1001),
        ("the work is another agent's", |_| ()),
        ("it lacks a skill", |_| ()),
    ];
    for (why, change) in changes {
        let mut facts = free();
        change(&mut facts);
        match why {
            "the work is another agent's" => spec(&mut facts, |spec| spec.agent = Some("other".parse().unwrap())),
            "it lacks a skill" => spec(&mut facts, |spec| spec.required_skills.push("rust".parse().unwrap())),
            _ => {}
        }
        assert_eq!(claim(&facts, 30_000, &fixture::env()), Ok(Vec::new()), "{why}");
    }
}

#[test]
fn what_is_frozen_or_spent_elsewhere_hinders_nobody() {
    let mut facts = free();
    facts.frozen =
        vec![Scope::Work(agentd_schemas::id::WorkId::from_bytes([9; 10])), Scope::Agent("other".parse().unwrap())];
    facts.accounts = vec![spent(6)];
    assert_eq!(claim(&facts, 30_000, &fixture::env()).unwrap().len(), 1);
}

#[test]
fn an_agent_that_is_shut_out_is_told_so() {
    for (state, gets) in [
        (AgentState::Probation, true),
        (AgentState::Active, true),
        (AgentState::Paused, false),
        (AgentState::Suspended, false),
        (AgentState::Retired, false),
    ] {
        let mut facts = free();
        facts.agent.state = state;
        match claim(&facts, 30_000, &fixture::env()) {
            Ok(drafts) => assert!(gets && drafts.len() == 1, "{state:?}"),
            Err(problem) => {
                assert!(!gets && problem.code == Code::WrongState, "{state:?}: {problem:?}");
                assert!(problem.message.contains(state.as_str()), "{problem:?}");
            }
        }
    }
}

#[test]
fn a_lease_is_neither_shorter_nor_longer_than_its_bounds() {
    for (lease_ms, fits) in [
        (0, false),
        (MIN_LEASE_MS - 1, false),
        (MIN_LEASE_MS, true),
        (MAX_LEASE_MS, true),
        (MAX_LEASE_MS + 1, false),
        (u64::MAX, false),
    ] {
        let code = claim(&free(), lease_ms, &fixture::env()).err().map(|problem| problem.code);
        assert_eq!(code, (!fits).then_some(Code::OutOfBounds), "{lease_ms} ms");
    }
}

#[test]
fn a_run_starts_once_and_under_its_own_fence_alone() {
    let named = fixture::named();
    let claimed = WorkFacts { state: WorkState::Claimed, ..fixture::work() };
    assert_eq!(fixture::names(&start(&claimed, &named, None).unwrap()), ["RunStarted"]);
    assert!(start(&fixture::work(), &named, None).unwrap().is_empty(), "it runs already");
    let mut older = named;
    older.fence.n -= 1;
    let over = WorkFacts { state: WorkState::Failed, ..fixture::work() };
    for (work, named) in [(&claimed, &older), (&claimed, &RunRef { attempt: 2, ..named }), (&over, &named)] {
        assert_eq!(start(work, named, None).unwrap_err().code, Code::StaleFence, "{named:?}");
    }
}
