use agentd_schemas::document::request::Scope;
use agentd_schemas::event::*;

use crate::ledger::project::told::Told;

fn started() -> LogStarted {
    LogStarted {
        origin: "h-1/ledger".to_owned(),
        incarnation: 1,
        trust_domain: "h-1.agentd.internal".to_owned(),
        authority_key: "authority".to_owned(),
        issuer_key: "issuer".to_owned(),
        log_key: "log".to_owned(),
        key_certificates: Vec::new(),
        request_key: "bound".to_owned(),
        agentd: "0.1.0".to_owned(),
    }
}

fn restored() -> IncarnationStarted {
    IncarnationStarted {
        origin: "h-1/ledger/2".to_owned(),
        incarnation: 2,
        previous_origin: "h-1/ledger".to_owned(),
        previous_size: 1,
        previous_root: "root".to_owned(),
        authority_key: "authority2".to_owned(),
        issuer_key: "issuer2".to_owned(),
        log_key: "log2".to_owned(),
        key_certificates: Vec::new(),
        request_key: "bound".to_owned(),
        reason: "the disk died".to_owned(),
        agentd: "0.1.0".to_owned(),
    }
}

fn frozen(scope: Scope) -> Frozen {
    Frozen { scope, reason: "look".to_owned() }
}

#[test]
fn the_first_event_names_the_log_and_its_keys() {
    let mut told = Told::new();
    told.tell(Subject::Host, started());
    assert_eq!(
        told.rows("SELECT key, value FROM meta WHERE key <> 'request_key' ORDER BY key"),
        [
            "authority_key, authority",
            "incarnation, 1",
            "issuer_key, issuer",
            "log_key, log",
            "origin, h-1/ledger",
            "trust_domain, h-1.agentd.internal",
        ]
    );
}

#[test]
fn a_restored_ledger_has_new_keys_and_its_old_trust_domain() {
    let mut told = Told::new();
    told.tell(Subject::Host, started());
    told.tell(Subject::Host, restored());
    assert_eq!(
        told.rows("SELECT key, value FROM meta WHERE key <> 'request_key' ORDER BY key"),
        [
            "authority_key, authority2",
            "incarnation, 2",
            "issuer_key, issuer2",
            "log_key, log2",
            "origin, h-1/ledger/2",
            "trust_domain, h-1.agentd.internal",
        ]
    );
}

#[test]
fn a_thaw_ends_the_freeze_of_its_scope_alone() {
    let mut told = Told::new();
    let fixer = Scope::Agent("fixer".parse().unwrap());
    told.tell(Subject::Host, frozen(Scope::All));
    told.tell(Subject::Host, frozen(fixer.clone()));
    told.tell(Subject::Host, frozen(Scope::All));
    let sql = "SELECT scope, idx FROM frozen ORDER BY idx";
    assert_eq!(told.rows(sql), ["\"all\", 0", "{\"agent\":\"fixer\"}, 1"], "frozen twice counts from the first time");
    told.tell(Subject::Host, Thawed { scope: Scope::All });
    assert_eq!(told.rows(sql), ["{\"agent\":\"fixer\"}, 1"]);
    told.tell(Subject::Host, Thawed { scope: fixer });
    assert!(told.rows(sql).is_empty());
}

#[test]
fn jumps_add_up_until_somebody_looks_at_the_clock() {
    let mut told = Told::new();
    for (by_ms, held) in [(7_200_000, "7200000"), (-7_200_000, "0"), (i64::MAX, "9223372036854775807")] {
        told.tell(Subject::Host, ClockJumped { by_ms });
        assert_eq!(told.rows("SELECT held_ms FROM clock"), [held]);
    }
    told.tell(Subject::Host, ClockJumped { by_ms: i64::MAX });
    told.tell(Subject::Host, ClockAccepted { reason: "summer".to_owned() });
    assert!(told.rows("SELECT * FROM clock").is_empty());
}

#[test]
fn erasing_takes_salt_and_content_of_one_blob() {
    let mut told = Told::new();
    told.content(0, b"a");
    told.content(1, b"b");
    told.tell(Subject::Host, started());
    told.content(0, b"c");
    told.tell(Subject::Host, ContentRedacted { event: 0, slot: 1, reason: "secret".to_owned() });
    let sql = "SELECT id, salt IS NULL, data FROM blobs ORDER BY id";
    assert_eq!(told.rows(sql), ["0, 0, x'61'", "1, 1, NULL", "16, 0, x'63'"]);
    told.tell(Subject::Host, ContentRedacted { event: 0, slot: 16, reason: "no such slot".to_owned() });
    assert_eq!(told.rows(sql), ["0, 0, x'61'", "1, 1, NULL", "16, 0, x'63'"]);
}

#[test]
fn a_finished_effect_leaves_the_outbox() {
    let mut told = Told::new();
    told.db.execute("INSERT INTO outbox (effect, kind, work) VALUES (7, 'cascade', 1), (8, 'cascade', 2)", []).unwrap();
    told.tell(Subject::Host, EffectFinished { effect: 7, kind: "cascade".to_owned() });
    assert_eq!(told.rows("SELECT effect FROM outbox"), ["8"]);
}

#[test]
fn notes_about_the_daemon_and_refusals_change_nothing_but_the_version() {
    let mut told = Told::new();
    let text = || "x".to_owned();
    told.tell(Subject::Host, DaemonStarted { agentd: text(), recovered: false, configuration: None });
    told.tell(Subject::Host, AccessDenied { action: text(), resource: text(), rule: text() });
    told.tell(Subject::Host, AuthenticationFailed { claimed: text(), reason: text() });
    told.tell(Subject::Host, DenialsSummarised { principal: text(), count: 3, period_ms: 1 });
    told.tell(Subject::Host, DaemonStopped { reason: text() });
    assert_eq!(told.rows("SELECT key, kind, id, version FROM subjects"), ["0, host, host, 5"]);
    for table in ["frozen", "clock", "blobs", "outbox"] {
        assert!(told.rows(&format!("SELECT * FROM {table}")).is_empty(), "{table}");
    }
    assert_eq!(told.rows("SELECT key FROM meta"), ["request_key"]);
}

#[test]
fn an_event_of_a_work_is_not_one_of_the_host() {
    let error = Told::new().hear(Subject::Host, HoldPlaced { reason: "court".to_owned() }).unwrap_err();
    assert!(error.to_string().contains("HoldPlaced"), "{error}");
}
