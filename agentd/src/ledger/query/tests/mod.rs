//! Queries on a ledger whose tables were written by the projections, from events of a small made-up history.

mod agents;
mod claim;
mod cost;
mod events;
mod host;
mod list;
mod plans;
mod resolve;
mod show;

use agentd_schemas::content::{TEXT, WORK_CONTENT, WorkContent};
use agentd_schemas::document::agent::ModelBinding;
use agentd_schemas::document::request::Period;
use agentd_schemas::event::{
    AccountLimitSet, AgentEnrolled, AttemptFailed, Custody, EventData, FailureReason, ResultJudged, RunWaiting,
    Subject, Verdict, WaitReason, WorkClaimed, WorkCompleted, WorkReadied, WorkSubmitted,
};
use agentd_schemas::id::{Fence, RunId, WorkId};
use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::unit::time::WallMs;
use ed25519_dalek::SigningKey;
use rusqlite::Connection;

use crate::domain::Draft;
use crate::ledger::append::{Appender, Writing};
use crate::ledger::checkpoint::Moment;
use crate::ledger::incarnation::HostKeys;
use crate::ledger::query::works::Pulse;
use crate::policy::{Caller, Viewer};

/// Wall time of event 0; each later event comes a second after the one before.
const START_MS: i64 = 1_795_334_400_000;

/// Sees everything.
fn operator() -> Viewer {
    Caller::person(0, true, false).viewer()
}

/// Sees what is theirs.
fn person(uid: u32) -> Viewer {
    Caller::person(uid, false, false).viewer()
}

/// Sees what it works on.
fn agent(name: &str) -> Viewer {
    Caller::agent(name.parse().unwrap(), 1000).viewer()
}

/// A limit for each day that changes nothing.
fn no_limit() -> AccountLimitSet {
    AccountLimitSet {
        period: Period::Day,
        max_cost_micro_usd: None,
        max_tokens: None,
        no_max_cost: false,
        no_max_tokens: false,
        declared: None,
    }
}

/// No queue is parked.
fn never(_: i64) -> bool {
    false
}

/// No run is known to memory.
fn unknown(_: RunId) -> Option<Pulse> {
    None
}

fn at(index: i64) -> WallMs {
    WallMs::saturating(START_MS + index * 1000)
}

/// A work of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Work {
    key: i64,
    id: WorkId,
    owner: u32,
}

impl Work {
    fn text(&self) -> String {
        self.id.to_string()
    }
}

/// A ledger in memory, and the end of its log.
struct Log {
    conn: Connection,
    appender: Appender,
}

impl Log {
    fn new() -> Self {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(&crate::ledger::open::MIGRATIONS.concat()).unwrap();
        let public = PrivateKey::from_seed(&[8; 32]).public_key().to_string();
        let keys = HostKeys {
            authority_key: public.clone(),
            issuer_key: public,
            key_certificates: Vec::new(),
            agentd: "0.1.0".to_owned(),
        };
        let key = SigningKey::from_bytes(&[1; 32]);
        let moment = Moment { wall: at(0), boot_ms: 0 };
        let (appender, _) =
            Appender::start(&conn, "h-test.agentd.internal", keys, &key, &"0".repeat(32), moment).unwrap();
        Self { conn, appender }
    }

    /// Appends an event by a person, one second after the last one, and gives its index.
    fn tell_by(&mut self, uid: u32, draft: Draft) -> i64 {
        let index = i64::try_from(self.appender.size()).unwrap();
        let moment = Moment { wall: at(index), boot_ms: index.unsigned_abs() };
        let caller = Caller::person(uid, false, false);
        let writing = Writing { caller: &caller, decided: None, request: None, moment };
        self.appender.append(&self.conn, vec![draft], &writing, &mut || [7; 32]).unwrap();
        self.appender.checkpoint(&self.conn, moment).unwrap();
        index
    }

    fn tell(&mut self, subject: Subject, data: impl Into<EventData>) -> i64 {
        self.tell_by(1000, Draft::new(subject, data))
    }

    fn agent(&mut self, name: &str, owner: u32, skills: &[&str]) -> i64 {
        let seed: [u8; 32] = std::array::from_fn(|place| name.as_bytes()[place % name.len()]);
        let enrolled = AgentEnrolled {
            agent_id: format!("spiffe://h-test.agentd.internal/agent/{name}"),
            owner,
            public_key: PrivateKey::from_seed(&seed).public_key().to_string(),
            custody: Custody::Resident,
            nonce: "nonce".to_owned(),
            signature: "signature".to_owned(),
            skills: skills.iter().map(|skill| skill.parse().unwrap()).collect(),
            shared: false,
            max_concurrency: 2,
            model: Some(model("large")),
            runtime: None,
            authority: None,
            declared: None,
        };
        let mut draft = Draft::new(Subject::Agent(name.parse().unwrap()), enrolled);
        draft.epoch = Some(1);
        self.tell_by(owner, draft.with_blob(0, TEXT, format!("the {name}")))
    }

    fn submit(&mut self, owner: u32, title: &str, edit: impl FnOnce(&mut WorkSubmitted)) -> Work {
        let content = WorkContent {
            title: title.to_owned(),
            instructions: Some(format!("do {title}")),
            inputs: Some(serde_json::json!({ "n": 1 })),
            schemas: vec![Some(serde_json::json!({ "type": "object" })), None],
            checks: Vec::new(),
            workspace: None,
        };
        self.submit_with(owner, &content, edit)
    }

    fn submit_with(&mut self, owner: u32, content: &WorkContent, edit: impl FnOnce(&mut WorkSubmitted)) -> Work {
        let mut spec = submitted(owner);
        edit(&mut spec);
        let id = id_of(self.appender.size());
        let bytes = serde_json::to_vec(content).unwrap();
        let draft = Draft::new(Subject::Work(id), spec).with_blob(0, WORK_CONTENT, bytes);
        Work { key: self.tell_by(owner, draft), id, owner }
    }

    /// Claims the work for an agent; gives the key of the run.
    fn claim(&mut self, work: Work, name: &str, attempt: u32) -> i64 {
        let claimed = WorkClaimed {
            agent: name.parse().unwrap(),
            attempt,
            fence: Fence { incarnation: 1, n: self.appender.size() },
            lease_ms: 60_000,
            matched_by: "claimed".to_owned(),
        };
        let run = RunId { work: work.id, attempt };
        self.tell_by(work.owner, Draft::new(Subject::Work(work.id), claimed).in_run(run, 1))
    }

    fn wait(&mut self, work: Work, reason: WaitReason) -> i64 {
        self.tell(Subject::Work(work.id), RunWaiting { reason })
    }

    /// A result that waits for a person.
    fn judge(&mut self, work: Work, result: &str) -> i64 {
        let draft = Draft::new(
            Subject::Work(work.id),
            ResultJudged { verdicts: vec![verdict(None)], artefacts: Vec::new(), commit: None },
        );
        self.tell_by(work.owner, with_result(draft, result))
    }

    fn complete(&mut self, work: Work, name: &str, result: &str) -> i64 {
        let data = WorkCompleted {
            agent: name.parse().unwrap(),
            verdicts: vec![verdict(Some(true))],
            artefacts: Vec::new(),
            commit: None,
        };
        self.tell_by(work.owner, with_result(Draft::new(Subject::Work(work.id), data), result))
    }

    /// A rejected attempt; another one follows after a backoff where one is given.
    fn reject(&mut self, work: Work, name: &str, result: &str, retry_after_ms: Option<u64>) -> i64 {
        let data = AttemptFailed {
            agent: name.parse().unwrap(),
            reason: FailureReason::Rejected,
            verdicts: vec![verdict(Some(false))],
            retry_after_ms,
            artefacts: Vec::new(),
            commit: None,
        };
        let draft =
            with_result(Draft::new(Subject::Work(work.id), data), result).with_blob(2, TEXT, "/: not an object");
        self.tell_by(work.owner, draft)
    }

    /// An attempt that its agent gave up, with what it said.
    fn report(&mut self, work: Work, name: &str, said: Option<&str>) -> i64 {
        let (agent, reason) = (name.parse().unwrap(), FailureReason::Reported);
        let data = AttemptFailed {
            agent,
            reason,
            verdicts: Vec::new(),
            retry_after_ms: None,
            artefacts: Vec::new(),
            commit: None,
        };
        let draft = Draft::new(Subject::Work(work.id), data);
        let draft = match said {
            Some(said) => draft.with_blob(2, TEXT, said),
            None => draft,
        };
        self.tell_by(work.owner, draft)
    }

    fn ready(&mut self, work: Work) -> i64 {
        self.tell(Subject::Work(work.id), WorkReadied { because: "backoff_over".to_owned() })
    }
}

fn with_result(draft: Draft, result: &str) -> Draft {
    draft.with_blob(0, agentd_schemas::content::DSSE_ENVELOPE, "{}").with_blob(1, "application/json", result)
}

fn verdict(met: Option<bool>) -> Verdict {
    Verdict { criterion: 0, kind: "json_schema".to_owned(), sha256: Some("00".repeat(32)), met, evidence: None }
}

fn model(name: &str) -> ModelBinding {
    serde_json::from_value(serde_json::json!({ "provider": "local", "name": name })).unwrap()
}

fn submitted(owner: u32) -> WorkSubmitted {
    WorkSubmitted { owner, max_attempts: 3, ..crate::domain::fixture::submitted() }
}

/// Ids scattered over their space, the same in every test run.
fn id_of(n: u64) -> WorkId {
    let scattered = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    WorkId::from_bytes(std::array::from_fn(|place| scattered[place % 8]))
}
