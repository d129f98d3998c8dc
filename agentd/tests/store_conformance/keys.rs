//! Idempotency keys.

use agentd::ledger::store::{Answer, Request};
use agentd::policy::Caller;

use super::ground::Ground;
use super::scene::{commit, committed, done, keyed, titled, world};

pub(crate) fn a_repeated_key_answers_with_the_events_of_then(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let first = done(&mut *store, keyed(titled("x"), "k", "digest"));
    let size = store.size();
    for _ in 0..2 {
        let Answer::Repeated(events) = commit(&mut *store, keyed(titled("x"), "k", "digest")) else { panic!() };
        assert_eq!(&*events, first);
    }
    let Answer::Refused(problem) = commit(&mut *store, keyed(titled("y"), "k", "another")) else { panic!() };
    assert_eq!(problem.code.as_str(), "key_reused");
    let stranger = Request { caller: Caller::person(1001, false, false), ..keyed(titled("x"), "k", "digest") };
    assert!(matches!(commit(&mut *store, stranger), Answer::Committed(_)), "a key is its caller's own");
    assert_eq!(store.size(), size + 1);
    drop(store);
    let mut store = ground.open(None);
    assert!(matches!(commit(&mut *store, keyed(titled("x"), "k", "digest")), Answer::Repeated(_)));
}

pub(crate) fn a_key_within_one_batch_counts_once(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let before = store.size();
    let batch = [keyed(titled("x"), "k", "d"), keyed(titled("x"), "k", "d")];
    let answers = store.commit(&batch, &world()).unwrap();
    assert!(matches!(&answers[1], Answer::Repeated(events) if **events == *committed(&answers[0])), "{answers:?}");
    assert_eq!(store.size(), before + 1);
}
