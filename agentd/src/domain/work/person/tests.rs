use agentd_schemas::problem::Code;

use super::*;
use crate::domain::fixture::{self, names, run_of};

fn waiting(reason: WaitReason) -> WorkFacts {
    let mut work = fixture::work();
    work.run.as_mut().unwrap().waiting = Some(reason);
    work
}

#[test]
fn a_run_asks_once_it_waits_for_nothing_else() {
    let work = fixture::work();
    let asked = ask(&work, &run_of(&work), "which branch?").unwrap();
    assert_eq!(names(&asked), ["NoteAdded", "RunWaiting"]);
    let work = waiting(WaitReason::Person);
    let asked = ask(&work, &run_of(&work), "main or next?").unwrap();
    assert_eq!(names(&asked), ["NoteAdded"]);
    assert_eq!(answer(&work, "main").unwrap().len(), 2);
    let budget = WaitReason::Budget { account: "owner:1000/day".to_owned(), micro_usd: 1, tokens: 0 };
    let work = waiting(budget);
    let refused = ask(&work, &run_of(&work), "which branch?").unwrap_err();
    assert!(refused.message.contains("owner:1000/day"), "{}", refused.message);
    assert_eq!(answer(&work, "main").unwrap_err().code, Code::WrongState);
}

#[test]
fn a_text_is_neither_empty_nor_beyond_its_bound() {
    let work = fixture::work();
    assert_eq!(note(&work, " \n").unwrap_err().code, Code::InvalidDocument);
    assert_eq!(note(&work, &"x".repeat(MAX_NOTE_BYTES + 1)).unwrap_err().code, Code::TooLarge);
    assert_eq!(note(&work, &"x".repeat(MAX_NOTE_BYTES)).unwrap().len(), 1);
}
