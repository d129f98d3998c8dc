//! Works from list to claim to hand-off.

use agentd::domain::Command;
use agentd::domain::command::Looked;
use agentd::ledger::store::Answer;
use agentd_schemas::event::{Custody, EventData};
use serde_json::json;

use super::ground::Ground;
use super::scene::{agent, claim, complete, done, enrol, kinds, person, submit, titled, work_of, worker, world};

pub(crate) fn a_list_may_name_its_works_before_they_stand_in_it(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let works = json!([
        {"title": "c", "ref": "c", "depends_on": ["ref:b"]},
        {"title": "part", "parent": "ref:whole"},
        {"title": "b", "ref": "b", "depends_on": ["ref:a"]},
        {"title": "a", "ref": "a"},
        {"title": "whole", "ref": "whole"},
    ]);
    let events = done(&mut *store, person(submit(works)));
    assert_eq!(events.len(), 5);
    let mut seen = Vec::new();
    for event in &events {
        let EventData::WorkSubmitted(spec) = &event.data else { panic!("{event:?}") };
        assert!(spec.depends_on.iter().chain(&spec.parent).all(|id| seen.contains(id)), "{events:?}");
        seen.push(work_of(event));
    }
}

pub(crate) fn a_completion_hands_its_dependant_off_in_the_same_commit(ground: &dyn Ground) {
    let mut store = ground.open(None);
    enrol(&mut *store);
    let works = submit(json!([{"title": "a", "ref": "a"}, {"title": "b", "depends_on": ["ref:a"]}]));
    let submitted = done(&mut *store, person(works));
    let run = claim(&mut *store);
    assert_eq!(run.work, work_of(&submitted[0]));
    let handed = done(&mut *store, agent(complete(run, submitted[0].envelope.index)));
    assert_eq!(kinds(&handed), ["WorkCompleted", "WorkReadied"]);
    assert_eq!(work_of(&handed[1]), work_of(&submitted[1]));
    assert_eq!(claim(&mut *store).work, work_of(&submitted[1]));
}

pub(crate) fn a_work_is_claimed_once(ground: &dyn Ground) {
    let mut store = ground.open(None);
    enrol(&mut *store);
    done(&mut *store, person(titled("only")));
    let command = || agent(Command::ClaimWork { agent: "worker".parse().unwrap(), lease_ms: 60_000, looked: None });
    let answers = store.commit(&[command(), command()], &world()).unwrap();
    let claims = answers.iter().filter(|answer| matches!(answer, Answer::Committed(events) if !events.is_empty()));
    assert_eq!(claims.count(), 1, "{answers:?}");
}

pub(crate) fn what_was_looked_at_is_claimed_or_nothing(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let mut new = worker("worker", 9);
    new.document = serde_json::from_value(json!({"name": "worker", "command": ["true"]})).unwrap();
    new.runtime = Some(serde_json::from_value(json!({"command": ["true"]})).unwrap());
    new.custody = Custody::Host;
    let enrolled = done(&mut *store, person(Command::EnrolAgent { agent: Box::new(new) }));
    let first = work_of(&done(&mut *store, person(titled("looked at")))[0]);
    let urgent = submit(json!([{"title": "came meanwhile", "priority": 9}]));
    let urgent = work_of(&done(&mut *store, person(urgent))[0]);
    let program = enrolled[0].envelope.index;
    let mut claimed = |work, program| {
        let looked = Some(Looked { work, program });
        let command = Command::ClaimWork { agent: "worker".parse().unwrap(), lease_ms: 60_000, looked };
        done(&mut *store, agent(command)).first().map(work_of)
    };
    assert_eq!(claimed(first, program + 1), None, "another program was looked at");
    assert_eq!(claimed(first, program), Some(first), "whoever came before it meanwhile");
    assert_eq!(claimed(first, program), None, "another one has it");
    assert_ne!(first, urgent);
}
