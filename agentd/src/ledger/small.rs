//! A small ledger in a directory of its own: what the tests of storing, proving and verifying stand on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use agentd_schemas::content::{DSSE_ENVELOPE, TEXT};
use agentd_schemas::event::{
    AccessDenied, AgentEnrolled, AgentPaused, AgentResumed, AgentState, ContentRedacted, Custody, Event, EventData,
    KeyRotated, NoteAdded, RunStarted, Subject, WorkClaimed, WorkCompleted,
};
use agentd_schemas::id::{Fence, RunId, WorkId};
use agentd_schemas::key::dsse::Envelope;
use agentd_schemas::key::host_key::certify;
use agentd_schemas::key::openssh::{PrivateKey, PublicKey};
use agentd_schemas::key::possession::{Possession, PossessionKind};
use agentd_schemas::key::statement::{Artefact, Completion, PAYLOAD_TYPE, Sha256Digest};
use agentd_schemas::unit::name::Slug;
use agentd_schemas::unit::time::WallMs;
use ed25519_dalek::SigningKey;
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use super::append::{Appender, Writing};
use super::checkpoint::Moment;
use super::incarnation::{HostKeys, Opened};
use super::open;
use crate::domain::work::judge::acceptance_digest;
use crate::domain::{Draft, fixture};
use crate::policy::Caller;

/// The boot that writes.
pub(in crate::ledger) const BOOT: &str = "00112233445566778899aabbccddeeff";

/// A fresh directory below the temporary directory, removed with its contents when dropped.
pub(in crate::ledger) struct Directory(PathBuf);

impl Directory {
    pub(in crate::ledger) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("agentd-ledger-{}-{number}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(in crate::ledger) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A ledger, its writer, and what the next events need.
pub(in crate::ledger) struct Small {
    pub(in crate::ledger) directory: Directory,
    pub(in crate::ledger) db: Connection,
    pub(in crate::ledger) log: Appender,
    works: u8,
    salts: u8,
}

/// How the result of a work is signed.
pub(in crate::ledger) struct Signed {
    /// Seed of the key.
    pub(in crate::ledger) key: u8,
    /// Fence in the statement, when it is not the run's.
    pub(in crate::ledger) fence: Option<u64>,
    /// Agent in the statement.
    pub(in crate::ledger) agent: &'static str,
    /// SHA-256 of the result in the statement.
    pub(in crate::ledger) result: [u8; 32],
    /// Whether the statement is handed in at all.
    pub(in crate::ledger) handed_in: bool,
}

/// What every work of the fixture results in.
const RESULT: &str = "the result";

impl Default for Signed {
    fn default() -> Self {
        Self { key: 2, fence: None, agent: AGENT_ID, result: Sha256::digest(RESULT).into(), handed_in: true }
    }
}

const AGENT_ID: &str = "spiffe://h-0.agentd.internal/agent/fixer-1";

pub(in crate::ledger) fn log_key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

pub(in crate::ledger) fn agent_key() -> PrivateKey {
    PrivateKey::from_seed(&[2; 32])
}

pub(in crate::ledger) fn host_keys() -> HostKeys {
    host_keys_for(&log_key())
}

/// The keys of a host with that log key.
pub(in crate::ledger) fn host_keys_for(log: &SigningKey) -> HostKeys {
    let authority = PrivateKey::from_seed(&[3; 32]);
    let line = authority.public_key();
    let log = PublicKey::from_bytes(log.verifying_key().as_bytes()).unwrap();
    HostKeys {
        authority_key: line.to_string(),
        issuer_key: line.to_string(),
        key_certificates: certify(&authority, "h-0.agentd.internal", &line, &log),
        agentd: "0.1.0".to_owned(),
    }
}

/// A moment that many seconds after the first.
pub(in crate::ledger) fn moment(second: u64) -> Moment {
    let wall = WallMs::saturating(1_795_334_400_000_i64.saturating_add_unsigned(second * 1000));
    Moment { wall, boot_ms: second * 1000 }
}

impl Small {
    /// A log that has just begun.
    pub(in crate::ledger) fn new() -> Self {
        let directory = Directory::new();
        let mut db = open::open_writer(&directory.join("ledger.db")).unwrap();
        let tx = db.transaction().unwrap();
        let (log, _) = Appender::start(&tx, "h-0.agentd.internal", host_keys(), &log_key(), BOOT, moment(0)).unwrap();
        tx.commit().unwrap();
        Self { directory, db, log, works: 0, salts: 0 }
    }

    /// A log with an agent, and works that it did: 4 events and 5 more for each work.
    pub(in crate::ledger) fn with_works(works: u8) -> Self {
        let mut small = Self::new();
        small.enrol();
        for _ in 0..works {
            small.work();
        }
        small
    }

    pub(in crate::ledger) fn path(&self) -> PathBuf {
        self.directory.join("ledger.db")
    }

    /// Opens the log again as a daemon does after a restart.
    pub(in crate::ledger) fn reopen(&mut self) {
        let Opened::Running(log) = Appender::open(&self.db, &log_key(), BOOT).unwrap() else {
            panic!("the log does not run");
        };
        self.log = log;
    }

    /// Commits the events of one command and a checkpoint.
    pub(in crate::ledger) fn commit(&mut self, caller: &Caller, drafts: Vec<Draft>) -> Vec<Event> {
        let moment = moment(self.log.size());
        let tx = self.db.transaction().unwrap();
        let writing = Writing { caller, decided: None, request: None, moment };
        let salts = &mut self.salts;
        let mut salt = || {
            *salts = salts.wrapping_add(1);
            [*salts; 32]
        };
        let events = self.log.append(&tx, drafts, &writing, &mut salt).unwrap();
        self.log.checkpoint(&tx, moment).unwrap();
        tx.commit().unwrap();
        events
    }

    /// Something that the daemon refused.
    pub(in crate::ledger) fn denied(&mut self) -> u64 {
        let data = AccessDenied { action: "work.cancel".into(), resource: "host".into(), rule: "no_rule".into() };
        let events = self.commit(&Caller::host(), vec![Draft::new(Subject::Host, data)]);
        events[0].envelope.index
    }

    /// Agent `fixer`, once paused and resumed.
    pub(in crate::ledger) fn enrol(&mut self) {
        let data = AgentEnrolled {
            agent_id: AGENT_ID.into(),
            owner: 1000,
            public_key: agent_key().public_key().to_string(),
            custody: Custody::Resident,
            nonce: "n".into(),
            signature: possession(),
            skills: Vec::new(),
            shared: false,
            max_concurrency: 1,
            model: None,
            runtime: None,
            authority: None,
            declared: None,
        };
        let paused = AgentPaused { reason: "lunch".into() };
        let resumed = AgentResumed { to: AgentState::Probation, reason: "fed".into() };
        let about = |data: EventData| Draft::new(Subject::Agent(fixer()), data);
        let caller = Caller::person(1000, false, false);
        self.commit(&caller, vec![about(data.into()), about(paused.into()), about(resumed.into())]);
    }

    /// A new key for `fixer` that comes with this for a proof.
    pub(in crate::ledger) fn rotate(&mut self, signature: &str) {
        let data = KeyRotated {
            from: agent_key().public_key().to_string(),
            to: PrivateKey::from_seed(&[4; 32]).public_key().to_string(),
            nonce: "n".into(),
            signature: signature.into(),
            reason: "lost".into(),
        };
        self.commit(&Caller::person(1000, false, false), vec![Draft::new(Subject::Agent(fixer()), data)]);
    }

    /// A work from submit to completion, and a note.
    pub(in crate::ledger) fn work(&mut self) -> WorkId {
        self.work_signed(&Signed::default())
    }

    /// The same with a statement that is signed otherwise.
    pub(in crate::ledger) fn work_signed(&mut self, signed: &Signed) -> WorkId {
        let owner = Caller::person(1000, false, false);
        let agent = Caller::agent(fixer(), 1000);
        self.works += 1;
        let id = WorkId::from_bytes([self.works; 10]);
        let about = |data: EventData| Draft::new(Subject::Work(id), data);
        let run = RunId { work: id, attempt: 1 };
        self.commit(
            &owner,
            vec![about(fixture::submitted().into()).with_blob(0, TEXT, format!("instructions of {id}"))],
        );
        let fence = Fence { incarnation: self.log.incarnation(), n: self.log.size() };
        let claimed = WorkClaimed { agent: fixer(), attempt: 1, fence, lease_ms: 60_000, matched_by: "claimed".into() };
        self.commit(&agent, vec![about(claimed.into()).in_run(run, 1)]);
        self.commit(&agent, vec![about(RunStarted::default().into()).in_run(run, 1)]);
        let note = about(NoteAdded {}.into()).with_blob(0, TEXT, "half of it is done");
        self.commit(&agent, vec![note.in_run(run, 1)]);
        let done = WorkCompleted { agent: fixer(), verdicts: Vec::new(), artefacts: Vec::new(), commit: None };
        let mut done = about(done.into()).in_run(run, 1);
        if signed.handed_in {
            done = done.with_blob(0, DSSE_ENVELOPE, self.statement(run, fence, signed));
        }
        self.commit(&agent, vec![done.with_blob(1, TEXT, RESULT)]);
        id
    }

    /// Erases a blob and says so.
    pub(in crate::ledger) fn redact(&mut self, event: u64, slot: u8) {
        let data = ContentRedacted { event, slot, reason: "personal data".into() };
        self.commit(&Caller::person(0, true, false), vec![Draft::new(Subject::Host, data)]);
    }

    fn statement(&self, run: RunId, fence: Fence, signed: &Signed) -> String {
        let completion = Completion {
            artefacts: vec![Artefact { name: "result".into(), sha256: Sha256Digest(signed.result) }],
            origin: self.log.origin().to_owned(),
            work: run.work.to_string(),
            run: run.to_string(),
            fence: signed.fence.unwrap_or(fence.n),
            agent: signed.agent.into(),
            epoch: 1,
            acceptance: acceptance_digest(&[]).parse().unwrap(),
            finished_at: None,
        };
        let payload = completion.to_json().unwrap();
        Envelope::sign(&PrivateKey::from_seed(&[signed.key; 32]), PAYLOAD_TYPE, &payload).unwrap().to_json().unwrap()
    }
}

/// Opens a database file for tampering, past all that keeps it whole.
pub(in crate::ledger) fn tamper(path: &Path, sql: &str) {
    let db = Connection::open(path).unwrap();
    db.execute_batch(sql).unwrap();
}

/// That somebody holds the key of `fixer`.
fn possession() -> String {
    let (key, trust_domain) = (agent_key(), "h-0.agentd.internal");
    let public_key = key.public_key();
    let possession =
        Possession { kind: PossessionKind::Enroll, trust_domain, name: "fixer", nonce: "n", public_key: &public_key };
    possession.sign(&key).unwrap().to_string()
}

pub(in crate::ledger) fn fixer() -> Slug {
    "fixer".parse().unwrap()
}
