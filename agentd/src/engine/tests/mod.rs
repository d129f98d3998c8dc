//! What time does, on a ledger whose clocks the test sets.

mod clock;
mod exits;
mod frozen;
mod pauses;
mod retry;
mod timers;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use agentd_schemas::document::WorkDocument;
use agentd_schemas::event::{Custody, Decided, Event, EventData};
use agentd_schemas::id::{Fence, WorkId};
use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::problem::Problem;
use agentd_schemas::unit::time::WallMs;
use ed25519_dalek::SigningKey;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::domain::command::{NewAgent, RunRef, Submitter};
use crate::domain::work::prepare::prepare;
use crate::domain::{Command, Defaults};
use crate::ledger::append::Appender;
use crate::ledger::checkpoint::Moment;
use crate::ledger::incarnation::{HostKeys, Opened};
use crate::ledger::open::open_writer;
use crate::ledger::rebuild::rebuild;
use crate::ledger::sqlite::SqliteStore;
use crate::ledger::store::{Answer, Request, Store as _, World};
use crate::policy::Caller;

const OWNER: u32 = 1000;
/// The boot of every event.
const BOOT: &str = "00112233445566778899aabbccddeeff";
/// Wall time at the beginning: 2026-11-22T00:00:00Z.
const START: i64 = 1_795_305_600_000;
const HOUR: u64 = 3_600_000;

/// A directory of its own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("agentd-time-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        drop(std::fs::remove_dir_all(&path));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A ledger, and the clocks that its commands see.
struct Scene {
    folder: Folder,
    store: SqliteStore,
    wall: i64,
    boot: u64,
}

impl Scene {
    fn new() -> Self {
        let folder = Folder::new();
        let mut conn = open_writer(&folder.0.join("ledger.db")).unwrap();
        let key = SigningKey::from_bytes(&[7; 32]);
        assert!(matches!(Appender::open(&conn, &key, BOOT).unwrap(), Opened::Empty));
        let public = PrivateKey::from_seed(&[8; 32]).public_key().to_string();
        let keys = HostKeys {
            authority_key: public.clone(),
            issuer_key: public,
            key_certificates: Vec::new(),
            agentd: "0.0.0".to_owned(),
        };
        let tx = conn.transaction().unwrap();
        let moment = Moment { wall: WallMs::saturating(START), boot_ms: 1 };
        let (appender, _) = Appender::start(&tx, "h-0.agentd.internal", keys, &key, BOOT, moment).unwrap();
        tx.commit().unwrap();
        let mut scene = Self { folder, store: SqliteStore::new(conn, appender), wall: START, boot: HOUR };
        scene.enrol();
        scene
    }

    fn enrol(&mut self) {
        let new = NewAgent {
            document: serde_json::from_value(json!({"name": "worker"})).unwrap(),
            owner: OWNER,
            agent_id: "spiffe://h-0.agentd.internal/agent/worker".to_owned(),
            public_key: PrivateKey::from_seed(&[9; 32]).public_key().to_string(),
            custody: Custody::Resident,
            nonce: "nonce".to_owned(),
            signature: "signature".to_owned(),
            runtime: None,
            authority: None,
            files: Vec::new(),
            declared: None,
        };
        self.run(Command::EnrolAgent { agent: Box::new(new) });
    }

    /// Both clocks go on.
    fn pass(&mut self, ms: u64) {
        self.boot += ms;
        self.wall += i64::try_from(ms).unwrap();
    }

    fn answer(&mut self, command: Command) -> Answer {
        let decided = Decided { rules: vec!["owner.manages_its_own".to_owned()], set: "0".repeat(64) };
        let caller = Caller::person(OWNER, true, false);
        let request = Request { caller, command, decided, resource: None, key: None };
        let world = World {
            wall_ms: self.wall,
            boot_ms: self.boot,
            day: "2026-11-22".to_owned(),
            month: "2026-11".to_owned(),
            defaults: Arc::new(Defaults::default()),
        };
        self.store.commit(&[request], &world).unwrap().pop().unwrap()
    }

    fn run(&mut self, command: Command) -> Vec<Event> {
        match self.answer(command) {
            Answer::Committed(events) => events.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    fn refused(&mut self, command: Command) -> Problem {
        match self.answer(command) {
            Answer::Refused(problem) => problem,
            other => panic!("{other:?}"),
        }
    }

    /// Submits works as a person writes them.
    fn submit(&mut self, documents: Value) -> Vec<WorkId> {
        let documents: Vec<WorkDocument> = serde_json::from_value(documents).unwrap();
        let works = prepare(documents, &Defaults::default(), &mut |text| Ok(text.parse().unwrap())).unwrap();
        let events = self.run(Command::SubmitWorks { owner: OWNER, works, from: Submitter::Person });
        events.iter().map(|event| event.envelope.subject.id().parse().unwrap()).collect()
    }

    /// What the worker gets when it asks.
    fn claim(&mut self) -> Option<RunRef> {
        let events = self.run(Command::ClaimWork { agent: "worker".parse().unwrap(), lease_ms: 60_000, looked: None });
        let event = events.first()?;
        let run = event.envelope.run.unwrap();
        let fence = Fence { incarnation: self.store.incarnation(), n: event.envelope.index };
        Some(RunRef { work: run.work, attempt: run.attempt, fence })
    }

    fn cancel(&mut self, work: WorkId) -> Vec<Event> {
        self.run(Command::CancelWork { work, reason: "not now".to_owned() })
    }

    fn retry(work: WorkId) -> Command {
        Command::RetryWork { work, reason: "after all".to_owned() }
    }

    fn db(&self) -> Connection {
        open_writer(&self.folder.0.join("ledger.db")).unwrap()
    }

    /// Kind and due time of every timer, in their order.
    fn timers(&self) -> Vec<(i64, i64)> {
        let db = self.db();
        let mut timers = db.prepare("SELECT kind, due FROM timers ORDER BY kind").unwrap();
        let rows = timers.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    }

    /// Rebuilt from the log, the timers are the same.
    fn rebuilds(&self) {
        let before = self.timers();
        rebuild(&mut self.db(), &|_| ()).unwrap();
        assert_eq!(self.timers(), before);
    }
}

fn kinds(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(|event| event.data.type_name()).collect()
}

/// The state that a retry or a submit leads to.
fn state(events: &[Event]) -> &'static str {
    match &events[0].data {
        EventData::WorkRetried(data) => data.state.as_str(),
        EventData::WorkSubmitted(data) => data.state.as_str(),
        other => panic!("{}", other.type_name()),
    }
}

fn at(hours: u64) -> String {
    WallMs::saturating(START + i64::try_from(hours * HOUR).unwrap()).to_string()
}

fn due(hours: u64) -> i64 {
    START + i64::try_from(hours * HOUR).unwrap()
}
