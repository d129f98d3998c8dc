//! The log under it all: durable, in order, and never ahead of what a decision rested on.

use agentd::domain::Command;
use agentd::ledger::store::{Answer, Request};
use agentd::policy::Resource;

use super::ground::Ground;
use super::scene::{OWNER, cancel, commit, committed, done, kinds, person, titled, work_of, world};

pub(crate) fn what_was_answered_is_there_when_it_is_opened_again(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let id = work_of(&done(&mut *store, person(titled("kept")))[0]);
    let (size, incarnation) = (store.size(), store.incarnation());
    drop(store);
    let mut store = ground.open(None);
    assert_eq!((store.size(), store.incarnation()), (size, incarnation));
    assert_eq!(kinds(&done(&mut *store, person(cancel(id)))), ["WorkCancelled"]);
}

pub(crate) fn versions_of_a_subject_follow_each_other(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let submitted = done(&mut *store, person(titled("x")));
    let id = work_of(&submitted[0]);
    let note = |text: &str| person(Command::AddNote { work: id, text: text.to_owned() });
    let batch = [note("one"), note("two"), person(cancel(id))];
    let answers = store.commit(&batch, &world()).unwrap();
    let versions: Vec<u64> =
        submitted.iter().chain(answers.iter().flat_map(committed)).map(|event| event.envelope.version).collect();
    let first = versions[0];
    assert_eq!(versions, (first..first + 4).collect::<Vec<_>>());
}

pub(crate) fn a_decision_on_what_changed_is_stale(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let id = work_of(&done(&mut *store, person(titled("x")))[0]);
    let before = store.size();
    let resource = Some(Resource::owned(format!("work {id}"), OWNER + 1));
    let request = Request { resource, ..person(cancel(id)) };
    assert!(matches!(commit(&mut *store, request), Answer::Stale));
    assert_eq!(store.size(), before);
}

pub(crate) fn a_checkpoint_that_is_given_out_is_kept(ground: &dyn Ground) {
    let mut store = ground.open(None);
    done(&mut *store, person(titled("x")));
    store.keep_checkpoint().unwrap();
    store.keep_checkpoint().unwrap();
    done(&mut *store, person(titled("y")));
}
