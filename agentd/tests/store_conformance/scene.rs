//! Requests as doors make them, and what their answers hold.

use std::sync::Arc;

use agentd::domain::command::{Completion, NewAgent, RunRef, Submitter};
use agentd::domain::work::prepare::prepare;
use agentd::domain::{Command, Defaults};
use agentd::ledger::store::{Answer, Request, Store, World};
use agentd::policy::Caller;
use agentd_schemas::document::WorkDocument;
use agentd_schemas::event::{Custody, Decided, Event, EventData};
use agentd_schemas::id::{Fence, WorkId};
use agentd_schemas::key::openssh::PrivateKey;
use serde_json::{Value, json};

pub(crate) const OWNER: u32 = 1000;

pub(crate) fn world() -> World {
    World {
        wall_ms: 1_795_334_400_000,
        boot_ms: 60_000,
        day: "2026-11-22".to_owned(),
        month: "2026-11".to_owned(),
        defaults: Arc::new(Defaults::default()),
    }
}

pub(crate) fn person(command: Command) -> Request {
    let decided = Decided { rules: vec!["owner.manages_its_own".to_owned()], set: "0".repeat(64) };
    Request { caller: Caller::person(OWNER, false, false), command, decided, resource: None, key: None }
}

pub(crate) fn agent(command: Command) -> Request {
    Request { caller: Caller::agent("worker".parse().unwrap(), OWNER), ..person(command) }
}

pub(crate) fn keyed(command: Command, key: &str, digest: &str) -> Request {
    Request { key: Some((key.to_owned(), digest.to_owned())), ..person(command) }
}

/// The submit of a list of works as persons write them.
pub(crate) fn submit(documents: Value) -> Command {
    let documents: Vec<WorkDocument> = serde_json::from_value(documents).unwrap();
    let works = prepare(documents, &Defaults::default(), &mut |text| Ok(text.parse().unwrap())).unwrap();
    Command::SubmitWorks { owner: OWNER, works, from: Submitter::Person }
}

pub(crate) fn titled(title: &str) -> Command {
    submit(json!([{"title": title}]))
}

pub(crate) fn cancel(work: WorkId) -> Command {
    Command::CancelWork { work, reason: "enough".to_owned() }
}

pub(crate) fn unknown_work() -> WorkId {
    "w-7kq3x2mbnd5fa6uz".parse().unwrap()
}

pub(crate) fn committed(answer: &Answer) -> &[Event] {
    match answer {
        Answer::Committed(events) => events,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn commit(store: &mut dyn Store, request: Request) -> Answer {
    store.commit(&[request], &world()).unwrap().pop().unwrap()
}

pub(crate) fn done(store: &mut dyn Store, request: Request) -> Vec<Event> {
    committed(&commit(store, request)).to_vec()
}

pub(crate) fn work_of(event: &Event) -> WorkId {
    event.envelope.subject.id().parse().unwrap()
}

pub(crate) fn kinds(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(|event| event.data.type_name()).collect()
}

pub(crate) fn worker(name: &str, seed: u8) -> NewAgent {
    NewAgent {
        document: serde_json::from_value(json!({"name": name})).unwrap(),
        owner: OWNER,
        agent_id: format!("spiffe://h-0.agentd.internal/agent/{name}"),
        public_key: PrivateKey::from_seed(&[seed; 32]).public_key().to_string(),
        custody: Custody::Resident,
        nonce: "nonce".to_owned(),
        signature: "signature".to_owned(),
        runtime: None,
        authority: None,
        files: Vec::new(),
        declared: None,
    }
}

pub(crate) fn enrol(store: &mut dyn Store) {
    let agent = Box::new(worker("worker", 9));
    assert!(!done(store, person(Command::EnrolAgent { agent })).is_empty());
}

pub(crate) fn claim(store: &mut dyn Store) -> RunRef {
    let command = Command::ClaimWork { agent: "worker".parse().unwrap(), lease_ms: 60_000, looked: None };
    let events = done(store, agent(command));
    let EventData::WorkClaimed(_) = &events[0].data else { panic!("{events:?}") };
    let run = events[0].envelope.run.unwrap();
    let fence = Fence { incarnation: store.incarnation(), n: events[0].envelope.index };
    RunRef { work: run.work, attempt: run.attempt, fence }
}

pub(crate) fn complete(run: RunRef, judged_work: u64) -> Command {
    let completion = Completion {
        statement: b"{}".to_vec(),
        result: b"done".to_vec(),
        json: false,
        verdicts: Vec::new(),
        judged_work,
        signed_by: PrivateKey::from_seed(&[9; 32]).public_key().to_string(),
        message: None,
        artefacts: Vec::new(),
        commit: None,
        report: None,
    };
    Command::CompleteWork { run, completion: Box::new(completion) }
}
