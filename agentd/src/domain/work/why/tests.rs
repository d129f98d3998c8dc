use agentd_schemas::unit::time::WallMs;

use super::*;
use crate::domain::fixture;
use crate::domain::matching::{Certified, Evidence};

/// A ready work that asks for rust, and the agent that has it.
fn facts() -> WhyFacts {
    let mut agent = fixture::agent().candidate;
    (agent.skills, agent.live) = (vec!["rust".parse().unwrap()], 0);
    let mut spec = fixture::submitted();
    spec.required_skills = agent.skills.clone();
    let mut work = fixture::work();
    (work.state, work.spec, work.run) = (WorkState::Ready, std::sync::Arc::new(spec), None);
    WhyFacts {
        work,
        agents: vec![agent],
        unmet: Vec::new(),
        accounts: Vec::new(),
        frozen: Vec::new(),
        held_back: Vec::new(),
        ahead: 0,
        last_words: None,
        exited: None,
    }
}

#[test]
fn a_skill_that_fell_is_named_with_its_evidence_and_the_way_back() {
    let mut facts = facts();
    facts.agents[0].evidence = vec![Evidence { skill: "rust".parse().unwrap(), judged: 5, accepted: 1 }];
    let why = why(&facts, &fixture::env());
    let (_, eligible, because) = &why.agents[0];
    assert!(!eligible && because.contains("1 of 5 judged works accepted gives 3 %"), "{because}");
    let hint = why.hint.unwrap();
    assert!(hint.contains("agentctl agent probation fixer"), "{hint}");
}

#[test]
fn a_frozen_agent_may_take_nothing() {
    let mut facts = facts();
    let name = facts.agents[0].name.clone();
    facts.frozen = vec![Scope::Agent(name.clone())];
    let told = why(&facts, &fixture::env());
    assert_eq!(told.agents[0], (name.clone(), false, "it is frozen".to_owned()));
    assert!(told.summary.contains("frozen"), "{}", told.summary);
    assert_eq!(told.hint, Some(format!("agentctl thaw {name}")));
    facts.frozen = vec![Scope::All];
    let told = why(&facts, &fixture::env());
    assert_eq!((told.agents[0].1, told.agents[0].2.as_str()), (false, "the whole host is frozen"));
    assert_eq!(told.hint.as_deref(), Some("agentctl thaw --all"));
    facts.frozen = vec![Scope::Agent("another".parse().unwrap())];
    assert!(why(&facts, &fixture::env()).agents[0].1, "a freeze of another agent is none of this one");
}

#[test]
fn a_living_run_of_a_frozen_agent_is_told_with_the_freeze() {
    let mut facts = facts();
    facts.work = fixture::work();
    let agent = facts.work.run.as_ref().unwrap().agent.clone();
    facts.frozen = vec![Scope::Agent(agent.clone())];
    let told = why(&facts, &fixture::env());
    assert!(told.summary.starts_with("it is frozen; "), "{}", told.summary);
    assert_eq!(told.reasons, [format!("agent {agent}, which holds it, is frozen")]);
    assert_eq!(told.hint, Some(format!("agentctl thaw {agent}")));
}

#[test]
fn a_certificate_that_is_missing_lapsed_or_in_doubt_is_told_with_what_ends_the_wait() {
    let (mut facts, env) = (facts(), fixture::env());
    let later = WallMs::saturating(env.wall.as_ms() + 1);
    let held = Env { clock_held: true, ..env.clone() };
    for (certified, env, says, helps) in [
        (Certified::Never, &env, "agent fixer: its owner has not certified its key", "agentctl agent certify fixer"),
        (
            Certified::During(env.wall, env.wall),
            &env,
            "agent fixer: its certificate lapsed on ",
            "agentctl agent certify fixer",
        ),
        (Certified::During(env.wall, later), &held, "agent fixer: the clock jumped", "agentctl clock accept "),
    ] {
        facts.agents[0].certified = certified;
        let told = why(&facts, env);
        assert!(told.summary.starts_with(says), "{}", told.summary);
        assert!(told.hint.as_ref().is_some_and(|hint| hint.starts_with(helps)), "{:?}", told.hint);
        assert!(!told.agents[0].1);
        let running = WhyFacts { work: fixture::work(), ..facts.clone() };
        let told = why(&running, env);
        assert!(told.reasons[0].starts_with(says), "{:?}", told.reasons);
        assert!(told.hint.is_some_and(|hint| hint.starts_with(helps)));
    }
    facts.agents[0].certified = Certified::During(env.wall, later);
    assert!(why(&facts, &env).agents[0].1);
}

#[test]
fn an_agent_that_was_stopped_is_named_with_what_lets_it_go_on() {
    let mut facts = facts();
    for (state, word) in [(AgentState::Paused, "paused"), (AgentState::Suspended, "suspended")] {
        facts.agents[0].state = state;
        let why = why(&facts, &fixture::env());
        assert_eq!(why.summary, format!("agent fixer, which could take it, is {word}"));
        assert_eq!(why.hint.as_deref(), Some("agentctl agent resume fixer --reason '…'"));
    }
}

#[test]
fn a_work_with_a_workspace_asks_for_an_agent_that_agentd_starts() {
    let mut facts = facts();
    let mut spec = (*facts.work.spec).clone();
    spec.workspace = Some(agentd_schemas::event::WorkspaceBase { content: None, sha256: None, base: None });
    facts.work.spec = std::sync::Arc::new(spec);
    let hint = why(&facts, &fixture::env()).hint.unwrap();
    assert_eq!(hint, "agentctl agent enroll NAME --skill rust -- COMMAND");
}

#[test]
fn a_program_that_ended_with_its_question_open_is_told_with_what_happens_then() {
    let mut facts = WhyFacts { work: fixture::work(), exited: Some(false), ..facts() };
    facts.work.run.as_mut().unwrap().waiting = Some(WaitReason::Person);
    let told = why(&facts, &fixture::env());
    assert!(told.reasons[0].contains("its question open") && told.reasons[0].contains("started again"), "{told:?}");
    facts.exited = None;
    assert!(why(&facts, &fixture::env()).reasons.is_empty(), "it waits inside");
}

#[test]
fn an_agent_that_lacks_only_its_key_is_the_way_out() {
    let mut facts = facts();
    facts.agents[0].key_revoked = true;
    for state in [AgentState::Active, AgentState::Paused] {
        facts.agents[0].state = state;
        let hint = why(&facts, &fixture::env()).hint.unwrap();
        assert!(hint.starts_with("agentctl agent rotate-key fixer"), "{hint}");
    }
}
