use serde_json::{Value, json};

use super::*;
use crate::domain::fixture;
use crate::domain::work::prepare;

const OWNER: u32 = 1000;

fn works(documents: Value) -> Vec<NewWork> {
    let documents = serde_json::from_value(documents).unwrap();
    prepare(documents, &fixture::env().defaults, &mut |text| Ok(text.parse().unwrap())).unwrap()
}

fn refused(facts: &SubmitFacts, works: &[NewWork]) -> Problem {
    submit(facts, OWNER, works, &Submitter::Person, &fixture::env()).unwrap_err()
}

/// A chain of that many works, each a part of the one before.
fn chain(length: u32) -> Vec<Value> {
    let one = |n: u32| match n {
        0 => json!({"title": "0", "ref": "n0"}),
        n => json!({"title": n.to_string(), "ref": format!("n{n}"), "parent": format!("ref:n{}", n - 1)}),
    };
    (0..length).map(one).collect()
}

#[test]
fn the_depth_is_bounded_within_one_list_and_below_the_ledger() {
    let env = fixture::env();
    let none = SubmitFacts::default();
    let deepest = works(json!(chain(MAX_DEPTH + 1)));
    assert!(submit(&none, OWNER, &deepest, &Submitter::Person, &env).is_ok());
    let problem = refused(&none, &works(json!(chain(MAX_DEPTH + 2))));
    assert_eq!((problem.code, problem.details["item"].clone()), (Code::OutOfBounds, json!(MAX_DEPTH + 1)), "{problem}");

    let id = WorkId::from_bytes([9; 10]);
    let linked = LinkedWork { state: WorkState::Ready, owner: OWNER, dependants: 0, children: 0, depth: MAX_DEPTH - 1 };
    let facts = SubmitFacts { linked: HashMap::from([(id, linked)]), ..SubmitFacts::default() };
    let mut list = chain(2);
    list[0]["parent"] = json!(id.to_string());
    assert_eq!(refused(&facts, &works(json!(list))).code, Code::OutOfBounds);
    assert!(submit(&facts, OWNER, &works(json!(list[..1])), &Submitter::Person, &env).is_ok());
}

#[test]
fn the_parts_of_one_work_are_bounded_within_one_list() {
    let list = |parts: usize| {
        let part = |n: usize| json!({"title": n.to_string(), "parent": "ref:top"});
        works(std::iter::once(json!({"title": "top", "ref": "top"})).chain((0..parts).map(part)).collect())
    };
    let none = SubmitFacts::default();
    assert!(submit(&none, OWNER, &list(MAX_CHILDREN), &Submitter::Person, &fixture::env()).is_ok());
    let problem = refused(&none, &list(MAX_CHILDREN + 1));
    assert_eq!(problem.code, Code::OutOfBounds, "{problem}");
    assert!(problem.message.contains("children already"), "{problem}");
}

#[test]
fn one_owner_has_a_share_of_the_open_works() {
    let most = fixture::env().defaults.max_open_works_per_owner;
    let facts = |own| SubmitFacts { open_works: own, own_open_works: own, ..SubmitFacts::default() };
    let one = works(json!([{"title": "x"}]));
    assert!(submit(&facts(most - 1), OWNER, &one, &Submitter::Person, &fixture::env()).is_ok());
    let problem = refused(&facts(most), &one);
    assert_eq!(problem.code, Code::Busy);
    assert!(problem.hint.unwrap().contains("limits.max_open_works_per_owner"));
    // Another owner has its own.
    let others = SubmitFacts { open_works: most, ..SubmitFacts::default() };
    assert!(submit(&others, OWNER, &one, &Submitter::Person, &fixture::env()).is_ok());
}

#[test]
fn the_different_demands_of_one_owner_are_bounded() {
    let facts = |open, fresh| SubmitFacts { demands: Demands { open, fresh }, ..SubmitFacts::default() };
    let one = works(json!([{"title": "x", "required_skills": ["s1"]}]));
    assert!(submit(&facts(MAX_DEMANDS - 1, 1), OWNER, &one, &Submitter::Person, &fixture::env()).is_ok());
    assert!(submit(&facts(MAX_DEMANDS, 0), OWNER, &one, &Submitter::Person, &fixture::env()).is_ok());
    let problem = refused(&facts(MAX_DEMANDS, 1), &one);
    assert_eq!(problem.code, Code::Busy);
    assert!(problem.hint.unwrap().contains("labels"));
}
