use agentd_schemas::document::PersonAcceptance;
use agentd_schemas::event::{EventData, WaitReason};
use serde_json::json;

use super::*;
use crate::domain::fixture::{self, names};
use crate::domain::matching::Certified;

fn verdict(criterion: u32, met: Option<bool>) -> Verdict {
    Verdict { criterion, kind: "person".to_owned(), sha256: None, met, evidence: None }
}

/// What `fixer` hands in for the work of the fixture.
fn done(met: &[Option<bool>]) -> Completion {
    Completion {
        statement: b"statement".to_vec(),
        result: b"result".to_vec(),
        json: false,
        verdicts: met.iter().zip(0..).map(|(met, place)| verdict(place, *met)).collect(),
        judged_work: fixture::work().key,
        signed_by: fixture::agent().public_key,
        message: Some("/n: \"two\" is no integer".to_owned()),
        artefacts: Vec::new(),
        commit: None,
        report: None,
    }
}

fn completed(done: &Completion) -> Vec<Draft> {
    complete(&fixture::work(), &fixture::agent(), &fixture::named(), done, &fixture::env()).unwrap()
}

fn asks_for(who: PersonAcceptance) -> WorkFacts {
    let mut work = WorkFacts { state: WorkState::Verifying, ..fixture::work() };
    std::sync::Arc::make_mut(&mut work.spec).acceptance = vec![Criterion::Person(who)];
    work
}

#[test]
fn what_follows_from_the_verdicts_and_the_result_is_kept_each_time() {
    let (yes, no, open) = (Some(true), Some(false), None);
    for (met, expected) in [
        (&[][..], "WorkCompleted"),
        (&[yes], "WorkCompleted"),
        (&[yes, open], "ResultJudged"),
        (&[yes, no], "AttemptFailed"),
        (&[open, no], "AttemptFailed"),
    ] {
        let drafts = completed(&done(met));
        assert_eq!(names(&drafts), [expected], "{met:?}");
        let kept: Vec<_> = drafts[0].blobs.iter().filter(|blob| blob.slot < 2).collect();
        assert_eq!((kept[0].media_type, kept[0].bytes.as_slice()), (DSSE_ENVELOPE, b"statement".as_slice()));
        assert_eq!((kept[1].media_type, kept[1].bytes.as_slice()), (TEXT, b"result".as_slice()));
        let told = drafts[0].blobs.iter().filter(|blob| blob.slot == 2).count();
        assert_eq!(told, 1, "{met:?}: what was said of it is told once");
    }
    let json = Completion { json: true, ..done(&[]) };
    assert_eq!(completed(&json)[0].blobs[1].media_type, "application/json");
}

#[test]
fn a_result_of_another_run_key_or_work_is_refused() {
    let (work, agent, named, env) = (fixture::work(), fixture::agent(), fixture::named(), fixture::env());
    let mut revoked = agent.clone();
    revoked.candidate.key_revoked = true;
    let mut lapsed = agent.clone();
    lapsed.candidate.certified = Certified::During(env.wall, env.wall);
    let mut other = agent.clone();
    other.candidate.name = "other".parse().unwrap();
    let mut waiting = work.clone();
    waiting.run.as_mut().unwrap().waiting = Some(WaitReason::Person);
    let over = WorkFacts { state: WorkState::Completed, ..work.clone() };
    let mut older = named;
    older.fence.n -= 1;
    let foreign = Completion { judged_work: work.key + 1, ..done(&[]) };
    let unsigned = Completion { signed_by: "ssh-ed25519 BBBB".to_owned(), ..done(&[]) };
    let good = done(&[]);
    for (why, work, agent, named, done, code) in [
        ("another fence", &work, &agent, &older, &good, Code::StaleFence),
        ("over already", &over, &agent, &named, &good, Code::StaleFence),
        ("criteria of another work", &work, &agent, &named, &foreign, Code::Internal),
        ("another agent", &work, &other, &named, &good, Code::Internal),
        ("another key", &work, &agent, &named, &unsigned, Code::KeyRevoked),
        ("a revoked key", &work, &revoked, &named, &good, Code::KeyRevoked),
        ("a certificate that lapsed", &work, &lapsed, &named, &good, Code::Uncertified),
        ("it waits for a person", &waiting, &agent, &named, &good, Code::WrongState),
    ] {
        assert_eq!(complete(work, agent, named, done, &env).unwrap_err().code, code, "{why}");
    }
}

#[test]
fn a_person_decides_what_was_left_open_and_nothing_else() {
    let (work, agent, env) = (asks_for(PersonAcceptance::Owner), fixture::agent(), fixture::env());
    let verdicts = [verdict(0, Some(true)), verdict(1, None)];
    for (accepts, words, expected) in [(true, "reads well", "WorkCompleted"), (false, "too short", "AttemptFailed")] {
        let drafts = decide_by_person(&work, &agent, &verdicts, accepts, false, Some(words), &env).unwrap();
        assert_eq!(names(&drafts), [expected]);
        let told = match &drafts[0].data {
            EventData::WorkCompleted(data) => &data.verdicts,
            EventData::AttemptFailed(data) => &data.verdicts,
            other => panic!("{other:?}"),
        };
        assert_eq!(told.iter().map(|verdict| verdict.met).collect::<Vec<_>>(), [Some(true), Some(accepts)]);
        let said = &drafts[0].blobs[0];
        assert_eq!((said.slot, said.bytes.as_slice()), (2, words.as_bytes()));
    }
}

#[test]
fn who_may_decide_and_when() {
    let (agent, env) = (fixture::agent(), fixture::env());
    let verdicts = [verdict(0, None)];
    let decide = |work: &WorkFacts, operator| {
        decide_by_person(work, &agent, &verdicts, true, operator, None, &env).err().map(|problem| problem.code)
    };
    assert_eq!(decide(&asks_for(PersonAcceptance::Owner), false), None);
    assert_eq!(decide(&asks_for(PersonAcceptance::Operator), false), Some(Code::Denied));
    assert_eq!(decide(&asks_for(PersonAcceptance::Operator), true), None);
    for state in WorkState::ALL.into_iter().filter(|state| *state != WorkState::Verifying) {
        let work = WorkFacts { state, ..asks_for(PersonAcceptance::Owner) };
        assert_eq!(decide(&work, true), Some(Code::WrongState), "{state:?}");
    }
}

#[test]
fn a_schema_that_could_not_judge_is_refused_with_its_place() {
    assert!(check_schema(&json!({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}), 0).is_ok());
    for schema in [json!({"type": "integr"}), json!({"$ref": "https://example.com/schema.json"}), json!(3)] {
        let problem = check_schema(&schema, 1).unwrap_err();
        assert_eq!(problem.code, Code::InvalidDocument, "{schema}");
        assert!(problem.message.contains("acceptance 2"), "{schema}: {}", problem.message);
    }
}

#[test]
fn criteria_have_a_digest_and_one_blank_verdict_each() {
    let schema = |sha256: &str| Criterion::JsonSchema { sha256: sha256.to_owned() };
    let criteria = [schema("a1"), Criterion::Person(PersonAcceptance::Owner)];
    let blank = blank_verdicts(&criteria);
    let told: Vec<_> = blank.iter().map(|each| (each.criterion, each.kind.as_str(), each.sha256.as_deref())).collect();
    assert_eq!(told, [(0, "json_schema", Some("a1")), (1, "person", None)]);
    assert!(blank.iter().all(|each| each.met.is_none()));
    let other = [schema("a2"), Criterion::Person(PersonAcceptance::Owner)];
    assert_ne!(acceptance_digest(&criteria), acceptance_digest(&other));
    assert_eq!(acceptance_digest(&[]), "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945", "of []");
}
