use agentd_schemas::document::agent::{ModelBinding, OnMismatch};
use agentd_schemas::event::*;
use agentd_schemas::unit::time::WallMs;

use crate::ledger::project::told::{Told, time_of};

fn subject() -> Subject {
    Subject::Agent("fixer".parse().unwrap())
}

fn enrolled() -> AgentEnrolled {
    AgentEnrolled {
        agent_id: "spiffe://h/agent/fixer".to_owned(),
        owner: 1000,
        public_key: "ssh-ed25519 first".to_owned(),
        custody: Custody::Owner,
        nonce: "n".to_owned(),
        signature: "s".to_owned(),
        skills: vec!["git".parse().unwrap(), "rust".parse().unwrap()],
        shared: false,
        max_concurrency: 3,
        model: None,
        runtime: None,
        authority: Some(Authority {
            public_key: "ssh-ed25519 owner".to_owned(),
            nonce: "n".to_owned(),
            signature: "s".to_owned(),
        }),
        declared: None,
    }
}

fn told() -> Told {
    let mut told = Told::new();
    told.tell(subject(), enrolled());
    told
}

fn reason() -> String {
    "because".to_owned()
}

fn rotated(from: &str, to: &str) -> KeyRotated {
    let (from, to) = (format!("ssh-ed25519 {from}"), format!("ssh-ed25519 {to}"));
    KeyRotated { from, to, nonce: "n".to_owned(), signature: "s".to_owned(), reason: reason() }
}

fn bound(epoch: u32) -> ModelBound {
    let to = ModelBinding {
        provider: "local".parse().unwrap(),
        name: "large".to_owned(),
        versions: Vec::new(),
        helpers: Vec::new(),
        parameters_sha256: None,
        prompt_sha256: None,
        on_mismatch: OnMismatch::Pause,
    };
    ModelBound { epoch, from: None, to: Some(to), reason: reason() }
}

const STATE: &str = "SELECT version, state, state_before, reason FROM agents";
const KEYS: &str = "SELECT public_key, agent, valid_from, valid_until FROM agent_keys ORDER BY valid_from";

#[test]
fn an_enrolled_agent_is_on_probation_with_its_key_and_first_epoch() {
    let told = told();
    let sql = "SELECT key, name, owner, shared, agent_id, custody, public_key, skills, max_concurrency, model, epoch,
                   live, enrolled_ms FROM agents";
    let time = time_of(0).as_ms();
    assert_eq!(
        told.rows(sql),
        [format!(
            "0, fixer, 1000, 0, spiffe://h/agent/fixer, owner, ssh-ed25519 first, [\"git\",\"rust\"], 3, NULL, 1, 0, {time}"
        )]
    );
    assert_eq!(told.rows(STATE), ["1, probation, probation, NULL"]);
    assert_eq!(told.rows(KEYS), ["ssh-ed25519 first, 0, 0, NULL"]);
    assert_eq!(told.rows("SELECT agent, epoch, idx FROM epochs"), ["0, 1, 0"]);
}

#[test]
fn the_columns_write_custody_and_state_as_the_wire_does() {
    for custody in [Custody::Resident, Custody::Host, Custody::Owner] {
        assert_eq!(format!("{:?}", super::custody(custody)), serde_json::to_string(&custody).unwrap());
    }
}

#[test]
fn whoever_is_resumed_goes_back_to_what_it_was_at_work() {
    let mut told = told();
    told.tell(subject(), AgentPaused { reason: reason() });
    assert_eq!(told.rows(STATE), ["2, paused, probation, because"]);
    told.tell(subject(), AgentResumed { reason: String::new(), to: AgentState::Probation });
    told.tell(subject(), AgentActivated { reason: reason() });
    assert_eq!(told.rows(STATE), ["4, active, active, NULL"]);
    told.tell(subject(), AgentPaused { reason: reason() });
    told.tell(subject(), AgentSuspended { reason: "worse".to_owned() });
    assert_eq!(told.rows(STATE), ["6, suspended, active, worse"], "not paused");
    told.db.execute("UPDATE agents SET failures_in_a_row = 3", []).unwrap();
    told.tell(subject(), AgentResumed { reason: String::new(), to: AgentState::Active });
    assert_eq!(told.rows(STATE), ["7, active, active, NULL"]);
    assert_eq!(told.rows("SELECT failures_in_a_row FROM agents"), ["0"]);
    told.tell(subject(), AgentRetired { reason: "old".to_owned() });
    assert_eq!(told.rows(STATE), ["8, retired, active, old"]);
}

#[test]
fn on_probation_again_it_counts_from_nothing_and_keeps_its_model() {
    let mut told = told();
    told.tell(subject(), bound(2));
    told.tell(subject(), AgentActivated { reason: reason() });
    told.db.execute("UPDATE agents SET judged = 6, accepted = 1, failures_in_a_row = 2", []).unwrap();
    let model = told.rows("SELECT model FROM agents");
    told.tell(subject(), ProbationStarted { epoch: 3, model: None, reason: reason() });
    assert_eq!(told.rows(STATE), ["4, probation, probation, NULL"]);
    assert_eq!(told.rows("SELECT epoch, judged, accepted, failures_in_a_row FROM agents"), ["3, 0, 0, 0"]);
    assert_eq!(told.rows("SELECT model FROM agents"), model);
    assert_eq!(told.rows("SELECT agent, epoch, idx FROM epochs"), ["0, 1, 0", "0, 2, 1", "0, 3, 3"]);
    told.tell(subject(), AgentPaused { reason: reason() });
    told.tell(subject(), ProbationStarted { epoch: 4, model: None, reason: reason() });
    assert_eq!(told.rows("SELECT state, state_before FROM agents"), ["paused, probation"]);
}

#[test]
fn declared_skills_replace_the_ones_before() {
    let mut told = told();
    told.tell(subject(), SkillsDeclared { skills: vec!["sql".parse().unwrap()] });
    assert_eq!(told.rows("SELECT version, skills FROM agents"), ["2, [\"sql\"]"]);
}

#[test]
fn a_rotated_key_ends_where_the_next_one_begins() {
    let mut told = told();
    told.tell(subject(), AgentActivated { reason: reason() });
    told.tell(subject(), rotated("first", "second"));
    assert_eq!(told.rows(KEYS), ["ssh-ed25519 first, 0, 0, 2", "ssh-ed25519 second, 0, 2, NULL"]);
    assert_eq!(told.rows("SELECT public_key, key_revoked FROM agents"), ["ssh-ed25519 second, 0"]);
}

#[test]
fn a_revoked_key_ends_with_its_revocation_and_not_with_the_rotation_after_it() {
    let mut told = told();
    told.tell(subject(), KeyRevoked { public_key: "ssh-ed25519 first".to_owned(), reason: reason() });
    assert_eq!(told.rows("SELECT version, key_revoked FROM agents"), ["2, 1"]);
    told.tell(subject(), rotated("first", "second"));
    assert_eq!(told.rows("SELECT version, key_revoked FROM agents"), ["3, 0"]);
    assert_eq!(told.rows(KEYS), ["ssh-ed25519 first, 0, 0, 1", "ssh-ed25519 second, 0, 2, NULL"]);
}

#[test]
fn a_certificate_holds_until_the_next_one_and_is_void_with_another_key() {
    const CERTIFIED: &str = "SELECT version, authority, certified_from, certified_until FROM agents";
    let mut told = told();
    assert_eq!(told.rows(CERTIFIED), ["1, ssh-ed25519 owner, NULL, NULL"]);
    let certified = |key: &str, from, until| KeyCertified {
        certificate: "line".to_owned(),
        serial: 0,
        public_key: format!("ssh-ed25519 {key}"),
        authority: "ssh-ed25519 owner".to_owned(),
        valid_after: WallMs::saturating(from),
        valid_before: WallMs::saturating(until),
    };
    told.tell(subject(), certified("first", 1, 9));
    told.tell(subject(), certified("first", 2, 5));
    assert_eq!(told.rows(CERTIFIED), ["3, ssh-ed25519 owner, 2, 5"]);
    told.tell(subject(), rotated("first", "second"));
    assert_eq!(told.rows(CERTIFIED), ["4, ssh-ed25519 owner, NULL, NULL"]);
    told.hear(subject(), certified("first", 2, 5)).unwrap_err();
}

#[test]
fn a_key_is_never_used_twice() {
    let mut told = told();
    told.tell(subject(), rotated("first", "second"));
    told.hear(subject(), rotated("second", "first")).unwrap_err();
}

#[test]
fn another_model_begins_an_epoch_and_a_probation() {
    let mut told = told();
    told.tell(subject(), AgentActivated { reason: reason() });
    told.db.execute("UPDATE agents SET judged = 5, accepted = 4, failures_in_a_row = 2", []).unwrap();
    told.tell(subject(), bound(2));
    let sql = "SELECT epoch, judged, accepted, failures_in_a_row, model FROM agents";
    let model = r#"{"provider":"local","name":"large","on_mismatch":"pause"}"#;
    assert_eq!(told.rows(sql), [format!("2, 0, 0, 0, {model}")]);
    assert_eq!(told.rows(STATE), ["3, probation, probation, NULL"]);
    assert_eq!(told.rows("SELECT agent, epoch, idx FROM epochs"), ["0, 1, 0", "0, 2, 2"]);
    told.tell(subject(), ModelBound { to: None, ..bound(3) });
    assert_eq!(told.rows("SELECT epoch, model FROM agents"), ["3, NULL"]);
}

#[test]
fn another_model_resumes_nobody() {
    let mut told = told();
    told.tell(subject(), AgentActivated { reason: reason() });
    told.tell(subject(), AgentPaused { reason: reason() });
    told.tell(subject(), bound(2));
    assert_eq!(told.rows(STATE), ["4, paused, probation, because"], "and it will not skip its probation");
}

#[test]
fn an_event_of_another_subject_or_of_nobody_is_an_error() {
    let mut told = told();
    let misplaced = told.hear(subject(), Thawed { scope: agentd_schemas::document::request::Scope::All });
    assert!(misplaced.unwrap_err().to_string().contains("Thawed"));
    let unchanged = told.hear(Subject::Agent("nobody".parse().unwrap()), AgentActivated { reason: reason() });
    assert_eq!(unchanged, Err(rusqlite::Error::StatementChangedRows(0)));
}
