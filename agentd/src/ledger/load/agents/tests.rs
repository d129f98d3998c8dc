use agentd_schemas::document::agent::{ModelBinding, OnMismatch};
use agentd_schemas::event::*;

use super::*;
use crate::ledger::project::told::Told;

fn slug(text: &str) -> Slug {
    text.parse().unwrap()
}

fn model() -> ModelBinding {
    ModelBinding {
        provider: slug("local"),
        name: "large".to_owned(),
        versions: vec!["large-*".to_owned()],
        helpers: Vec::new(),
        parameters_sha256: None,
        prompt_sha256: None,
        on_mismatch: OnMismatch::Deny,
    }
}

fn enrol_agent(told: &mut Told, name: &str, owner: u32, shared: bool) {
    let enrolled = AgentEnrolled {
        agent_id: format!("spiffe://h/agent/{name}"),
        owner,
        public_key: format!("ssh-ed25519 {name}"),
        custody: Custody::Resident,
        nonce: "n".to_owned(),
        signature: "s".to_owned(),
        skills: vec!["git".parse().unwrap(), "rust".parse().unwrap()],
        shared,
        max_concurrency: 3,
        model: Some(model()),
        runtime: None,
        authority: None,
        declared: None,
    };
    told.tell(Subject::Agent(slug(name)), enrolled);
}

fn new_agent(name: &str, key: &str) -> NewAgent {
    let document = serde_json::from_value(serde_json::json!({ "name": name })).unwrap();
    NewAgent {
        document,
        owner: 1000,
        agent_id: String::new(),
        public_key: format!("ssh-ed25519 {key}"),
        custody: Custody::Resident,
        nonce: String::new(),
        signature: String::new(),
        runtime: None,
        authority: None,
        files: Vec::new(),
        declared: None,
    }
}

fn retire(told: &mut Told, name: &str) {
    told.tell(Subject::Agent(slug(name)), AgentRetired { reason: "old".to_owned() });
}

#[test]
fn the_facts_of_an_agent_are_what_its_events_said() {
    let mut told = Told::new();
    enrol_agent(&mut told, "fixer", 1000, false);
    told.tell(Subject::Agent(slug("fixer")), AgentActivated { reason: "good".to_owned() });
    told.tell(Subject::Agent(slug("fixer")), AgentPaused { reason: "rest".to_owned() });
    told.db.execute("UPDATE agents SET live = 2, judged = 6, accepted = 5, failures_in_a_row = 1", []).unwrap();
    let expected = AgentFacts {
        candidate: Candidate {
            name: slug("fixer"),
            owner: 1000,
            shared: false,
            state: AgentState::Paused,
            key_revoked: false,
            certified: Certified::NotNeeded,
            skills: vec!["git".parse().unwrap(), "rust".parse().unwrap()],
            started: false,
            evidence: Vec::new(),
            live: 2,
            max_concurrency: 3,
            epoch: 1,
        },
        public_key: "ssh-ed25519 fixer".to_owned(),
        authority: None,
        model: Some(model()),
        judged_in_epoch: 6,
        accepted_in_epoch: 5,
        failures_in_a_row: 1,
        state_before: AgentState::Active,
    };
    assert_eq!(candidate(&told.db, &slug("fixer")).unwrap(), Some(expected.candidate.clone()));
    assert_eq!(facts(&told.db, &slug("fixer")).unwrap(), Some(expected));
    assert_eq!(facts(&told.db, &slug("nobody")).unwrap(), None);
    assert_eq!(candidate(&told.db, &slug("nobody")).unwrap(), None);
}

#[test]
fn evidence_is_that_of_this_epoch_and_of_claimed_skills() {
    let mut told = Told::new();
    enrol_agent(&mut told, "fixer", 1000, false);
    enrol_agent(&mut told, "other", 1000, false);
    let sql = "INSERT INTO evidence (agent, epoch, skill, judged, accepted)
               VALUES (0, 1, 'rust', 5, 4), (0, 1, 'sql', 9, 9), (0, 2, 'git', 7, 7), (1, 1, 'git', 3, 3)";
    told.db.execute(sql, []).unwrap();
    let found = candidate(&told.db, &slug("fixer")).unwrap().unwrap();
    assert_eq!(found.evidence, [Evidence { skill: "rust".parse().unwrap(), judged: 5, accepted: 4 }]);
}

#[test]
fn candidates_are_ones_own_agents_and_shared_ones_that_are_not_retired() {
    let mut told = Told::new();
    for (name, owner, shared) in
        [("mine", 1000, false), ("theirs", 1001, false), ("shared", 1001, true), ("gone", 1000, true)]
    {
        enrol_agent(&mut told, name, owner, shared);
    }
    retire(&mut told, "gone");
    let names = |owner| -> Vec<String> {
        candidates_for(&told.db, owner).unwrap().iter().map(|found| found.name.to_string()).collect()
    };
    assert_eq!(names(1000), ["mine", "shared"]);
    assert_eq!(names(1001), ["theirs", "shared"]);
    assert_eq!(names(7), ["shared"]);
}

#[test]
fn names_and_keys_are_taken_for_good() {
    let mut told = Told::new();
    enrol_agent(&mut told, "fixer", 1000, false);
    enrol_agent(&mut told, "gone", 1000, false);
    let rotated = KeyRotated {
        from: "ssh-ed25519 gone".to_owned(),
        to: "ssh-ed25519 second".to_owned(),
        nonce: "n".to_owned(),
        signature: "s".to_owned(),
        reason: "lost".to_owned(),
    };
    told.tell(Subject::Agent(slug("gone")), rotated);
    retire(&mut told, "gone");
    for (name, key, name_taken, key_of) in [
        ("new", "fresh", false, None),
        ("fixer", "fresh", true, None),
        ("gone", "fixer", true, Some("fixer")),
        ("new", "gone", false, Some("gone")),
        ("new", "second", false, Some("gone")),
    ] {
        let found = enrol(&told.db, &new_agent(name, key)).unwrap();
        assert_eq!((found.name_taken, found.key_of.as_deref(), found.agents), (name_taken, key_of, 1), "{name} {key}");
    }
}

#[test]
fn the_first_agent_finds_an_empty_host() {
    let found = enrol(&Told::new().db, &new_agent("first", "fresh")).unwrap();
    assert_eq!((found.name_taken, found.key_of, found.agents), (false, None, 0));
}

#[test]
fn what_no_event_can_have_written_is_named() {
    let mut told = Told::new();
    enrol_agent(&mut told, "fixer", 1000, false);
    for (change, named) in [
        ("state = 'asleep'", "asleep"),
        ("state = 'active', state_before = 'awake'", "awake"),
        ("state_before = 'active', model = '{}'", "model"),
        ("skills = '7'", "skills"),
    ] {
        told.db.execute(&format!("UPDATE agents SET {change}"), []).unwrap();
        let error = facts(&told.db, &slug("fixer")).unwrap_err().to_string();
        assert!(error.starts_with("table agents, row 0:") && error.contains(named), "{error}");
    }
}
