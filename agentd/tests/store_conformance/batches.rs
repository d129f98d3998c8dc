//! Commands of one batch: each is alone with its failure, and sees what went before.

use agentd::domain::Command;
use agentd::ledger::store::{Answer, StoreError};
use serde_json::json;

use super::ground::Ground;
use super::scene::{
    cancel, commit, committed, done, keyed, kinds, person, submit, titled, unknown_work, work_of, world,
};

pub(crate) fn a_refused_neighbour_does_not_disturb_a_batch(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let before = store.size();
    let batch = [person(titled("a")), person(cancel(unknown_work())), person(titled("b"))];
    let answers = store.commit(&batch, &world()).unwrap();
    let (first, last) = (committed(&answers[0]), committed(&answers[2]));
    assert!(matches!(&answers[1], Answer::Refused(_)), "{answers:?}");
    assert_eq!((first[0].envelope.index, last[0].envelope.index), (before, before + 1));
    assert_eq!(store.size(), before + 2);
}

pub(crate) fn a_batch_of_refusals_writes_nothing(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let before = store.size();
    assert!(matches!(commit(&mut *store, person(cancel(unknown_work()))), Answer::Refused(_)));
    assert_eq!(store.size(), before);
    drop(store);
    assert_eq!(ground.open(None).size(), before);
}

/// Two works, of which no table takes the second: past the doors, which refuse it.
fn unstorable() -> Command {
    let mut command = submit(json!([{"title": "fine"}, {"title": "not so"}]));
    let Command::SubmitWorks { works, .. } = &mut command else { panic!() };
    works[1].spec.max_tokens = Some(u64::MAX);
    command
}

pub(crate) fn a_command_that_cannot_be_stored_fails_alone(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let before = store.size();
    let batch =
        [person(titled("a")), keyed(unstorable(), "k", "d"), person(titled("b")), keyed(unstorable(), "l", "d")];
    let answers = store.commit(&batch, &world()).unwrap();
    let (first, last) = (committed(&answers[0]), committed(&answers[2]));
    for failed in [&answers[1], &answers[3]] {
        let Answer::Refused(problem) = failed else { panic!("{answers:?}") };
        assert_eq!(problem.code.as_str(), "internal");
    }
    assert_eq!((first[0].envelope.index, last[0].envelope.index), (before, before + 1));
    assert!(matches!(commit(&mut *store, person(unstorable())), Answer::Refused(_)), "alone in its batch, too");
    assert_eq!(done(&mut *store, keyed(titled("c"), "k", "another"))[0].envelope.index, before + 2, "no key was kept");
    drop(store);
    assert_eq!(ground.open(None).size(), before + 3, "the tree is as far as the events");
}

pub(crate) fn a_later_command_of_a_batch_sees_what_an_earlier_one_wrote(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let id = work_of(&done(&mut *store, person(titled("x")))[0]);
    let answers = store.commit(&[person(cancel(id)), person(cancel(id))], &world()).unwrap();
    assert_eq!(kinds(committed(&answers[0])), ["WorkCancelled"]);
    let changed_again = matches!(&answers[1], Answer::Committed(events) if !events.is_empty());
    assert!(!changed_again, "{answers:?}");
}

pub(crate) fn a_batch_without_room_is_undone_whole_and_a_smaller_one_goes_on(ground: &dyn Ground) {
    let mut store = ground.open(None);
    done(&mut *store, person(titled("before")));
    let size = store.size();
    drop(store);
    let mut store = ground.open(Some(64));
    let large = submit(json!([{"title": "large", "instructions": "x".repeat(900_000)}]));
    let batch = [person(titled("neighbour")), keyed(large, "k", "d")];
    assert!(matches!(store.commit(&batch, &world()), Err(StoreError::DiskFull)));
    assert_eq!(store.size(), size);
    let after = done(&mut *store, keyed(titled("small"), "k", "e"));
    assert_eq!(after[0].envelope.index, size, "neither the neighbour nor the key was kept");
    drop(store);
    assert_eq!(ground.open(None).size(), size + 1);
}
