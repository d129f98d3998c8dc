//! Money of works that are parts of others, and what runs leave set aside.

use agentd::domain::Command;
use agentd::domain::command::{RunRef, Spending};
use agentd::ledger::store::{Answer, Request, Store};
use agentd::policy::Caller;
use agentd_schemas::document::request::Raise;
use agentd_schemas::event::{AmountSource, EventData};
use agentd_schemas::id::Fence;
use serde_json::{Value, json};

use super::budgets::{reserve, running, waits_for};
use super::ground::{Ground, Sqlite};
use super::scene::{OWNER, agent, cancel, claim, commit, committed, done, enrol, kinds, person, submit, worker, world};

/// Whole, two parts of it and a part of the second, each with a run of an agent of its own; the whole has a dollar, the
/// second part half of one.
fn family(store: &mut dyn Store) -> Vec<(Caller, RunRef)> {
    let works = json!([
        {"title": "whole", "ref": "whole", "limits": {"max_cost": "1.00 USD", "max_tokens": 100}},
        {"title": "first", "parent": "ref:whole"},
        {"title": "second", "ref": "second", "parent": "ref:whole", "limits": {"max_cost": "0.50 USD"}},
        {"title": "below", "parent": "ref:second"},
    ]);
    done(store, person(submit(works)));
    let mut runs = Vec::new();
    for (seed, name) in [(11, "one"), (12, "two"), (13, "three"), (14, "four")] {
        done(store, person(Command::EnrolAgent { agent: Box::new(worker(name, seed)) }));
        let caller = Caller::agent(name.parse().unwrap(), OWNER);
        let command = Command::ClaimWork { agent: name.parse().unwrap(), lease_ms: 60_000, looked: None };
        let events = done(store, Request { caller: caller.clone(), ..person(command) });
        let run = events[0].envelope.run.unwrap();
        let fence = Fence { incarnation: store.incarnation(), n: events[0].envelope.index };
        runs.push((caller, RunRef { work: run.work, attempt: run.attempt, fence }));
    }
    runs
}

fn by((caller, run): &(Caller, RunRef), micro_usd: u64) -> Request {
    Request { caller: caller.clone(), ..reserve(*run, micro_usd, 0) }
}

pub(crate) fn parts_never_overspend_the_last_unit_of_their_whole(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let store = &mut *store;
    let runs = family(store);
    let whole = format!("work:{}", runs[0].1.work);
    let answers = store.commit(&[by(&runs[1], 600_000), by(&runs[2], 400_001)], &world()).unwrap();
    assert_eq!(waits_for(committed(&answers[0])), None);
    assert_eq!(waits_for(committed(&answers[1])), Some(whole.as_str()), "one of two that ask for the last unit");
    assert_eq!(waits_for(&done(store, by(&runs[3], 500_001))), Some(format!("work:{}", runs[2].1.work).as_str()));
    assert_eq!(waits_for(&done(store, by(&runs[0], 400_001))), Some("work"), "what parts set aside binds the whole");
    // The raise lets all go on for whom it suffices: its own run in the same commit, parts when they are looked at.
    let raise = Raise { max_cost: Some("1.01 USD".parse().unwrap()), ..Raise::default() };
    let raised = done(store, person(Command::RaiseLimits { work: runs[0].1.work, raise }));
    assert_eq!(kinds(&raised), ["LimitsRaised", "RunResumed"]);
    assert_eq!(kinds(&done(store, person(Command::ResumeBudget { work: runs[2].1.work }))), ["RunResumed"]);
    assert!(
        done(store, person(Command::ResumeBudget { work: runs[3].1.work })).is_empty(),
        "its own whole is too poor"
    );
}

/// No order of reserving and settling within what was reserved brings a work above its limit, its parts included.
pub(crate) fn reservations_nest_in_every_order(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let store = &mut *store;
    let runs = family(store);
    let within: [&[usize]; 4] = [&[0], &[1, 0], &[2, 0], &[3, 2, 0]];
    let limits = [Some(1_000_000), None, Some(500_000), None];
    let mut used = [0_u64; 4];
    let mut open: Vec<(usize, u64, u64)> = Vec::new();
    let mut state: u64 = 42;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let (mut waited, mut reserved) = (0, 0);
    for _ in 0..400 {
        let who = usize::try_from(draw(4)).unwrap();
        let amount = 1 + draw(120_000);
        if draw(2) == 0 && !open.is_empty() {
            let (who, index, held) = open.swap_remove(usize::try_from(draw(open.len() as u64)).unwrap());
            let spent = draw(held / 8 + 1);
            let (micro_usd, source) = (Some(spent), AmountSource::Reported);
            let cost = Spending { reservation: Some(index), micro_usd, tokens: 0, source, effective_model: None };
            let settle = Command::SettleCost { run: runs[who].1, cost };
            assert_eq!(kinds(&done(store, Request { caller: runs[who].0.clone(), ..person(settle) })), ["CostSettled"]);
            within[who].iter().for_each(|each| used[*each] -= held - spent);
            continue;
        }
        let Answer::Committed(events) = commit(store, by(&runs[who], amount)) else { continue };
        let fits = |each: &&usize| limits[**each].is_none_or(|most| used[**each] + amount <= most);
        assert_eq!(waits_for(&events).is_none(), within[who].iter().all(|each| fits(&each)), "{used:?} {who} {amount}");
        if waits_for(&events).is_some() {
            waited += 1;
            // It gives up what it waits for; the next try is another one.
            for (who, index, held) in std::mem::take(&mut open) {
                let (micro_usd, source) = (Some(0), AmountSource::Reported);
                let cost = Spending { reservation: Some(index), micro_usd, tokens: 0, source, effective_model: None };
                let settle = Command::SettleCost { run: runs[who].1, cost };
                done(store, Request { caller: runs[who].0.clone(), ..person(settle) });
                within[who].iter().for_each(|each| used[*each] -= held);
            }
            done(store, person(Command::ResumeBudget { work: runs[who].1.work }));
        } else {
            reserved += 1;
            open.push((who, events[0].envelope.index, amount));
            within[who].iter().for_each(|each| used[*each] += amount);
        }
    }
    assert!(waited > 3 && reserved > 50, "{waited} {reserved}");
}

pub(crate) fn a_part_asks_for_no_more_than_its_whole_has_left(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let store = &mut *store;
    let runs = family(store);
    done(store, by(&runs[1], 900_000));
    let whole = runs[0].1.work.to_string();
    let part = |limits: Value| person(submit(json!([{"title": "late", "parent": whole, "limits": limits}])));
    for (limits, left) in [(json!({"max_cost": "0.11 USD"}), "0.10 USD"), (json!({"max_tokens": 101}), "100")] {
        let Answer::Refused(problem) = commit(store, part(limits)) else { panic!() };
        assert_eq!(problem.code.as_str(), "out_of_bounds");
        assert!(
            problem.message.contains(&format!("work {whole} has left for its parts: {left}")),
            "{}",
            problem.message
        );
        assert!(problem.hint.unwrap().contains(&format!("agentctl work raise {whole} --max-")));
    }
    assert_eq!(kinds(&done(store, part(json!({"max_cost": "0.10 USD", "max_tokens": 100})))), ["WorkSubmitted"]);
    assert_eq!(kinds(&done(store, part(json!({})))), ["WorkSubmitted"]);
    // Within one submit too, and however deep.
    let deep = |levels: usize, most: &str| {
        let works = (0..levels).map(|nth| match nth {
            0 => json!({"title": "top", "ref": "r0", "limits": {"max_cost": "1.00 USD"}}),
            _ if nth + 1 == levels => {
                json!({"title": "last", "parent": format!("ref:r{}", nth - 1), "limits": {"max_cost": most}})
            }
            _ => json!({"title": "part", "ref": format!("r{nth}"), "parent": format!("ref:r{}", nth - 1)}),
        });
        person(submit(Value::Array(works.collect())))
    };
    assert_eq!(done(store, deep(9, "1.00 USD")).len(), 9);
    let Answer::Refused(problem) = commit(store, deep(9, "1.01 USD")) else { panic!() };
    assert!(problem.message.contains("has left for its parts: 1.00 USD"), "{}", problem.message);
    let Answer::Refused(problem) = commit(store, deep(10, "1.00 USD")) else { panic!() };
    assert!(problem.message.contains("8 levels deep"), "{}", problem.message);
}

pub(crate) fn a_part_that_outlives_its_whole_is_bound_by_it_and_can_be_helped(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let store = &mut *store;
    let runs = family(store);
    let fail = Command::FailRun { run: runs[0].1, message: String::new() };
    done(store, Request { caller: runs[0].0.clone(), ..person(fail) });
    let raise = |usd: &str| {
        let raise = Raise { max_cost: Some(usd.parse().unwrap()), ..Raise::default() };
        person(Command::RaiseLimits { work: runs[0].1.work, raise })
    };
    done(store, person(cancel(runs[2].1.work)));
    assert!(waits_for(&done(store, by(&runs[1], 1_000_001))).unwrap().starts_with("work:"));
    assert_eq!(kinds(&done(store, raise("2.00 USD"))), ["LimitsRaised"]);
    assert_eq!(kinds(&done(store, person(Command::ResumeBudget { work: runs[1].1.work }))), ["RunResumed"]);
    // A work that is over and has no parts has no limits.
    assert!(matches!(commit(store, person(cancel(runs[1].1.work))), Answer::Committed(_)));
    let raise = Raise { max_cost: Some("9 USD".parse().unwrap()), ..Raise::default() };
    assert!(matches!(commit(store, person(Command::RaiseLimits { work: runs[1].1.work, raise })), Answer::Refused(_)));
}

/// A way in which a run ends.
type Way = fn(RunRef) -> Command;

pub(crate) fn what_a_run_leaves_open_is_settled_when_it_ends(_: &dyn Ground) {
    let ways: [(&str, Way); 6] = [
        ("AttemptFailed", |run| Command::FailRun { run, message: "no".to_owned() }),
        ("AttemptFailed", |run| Command::ExpireLease { run }),
        ("AttemptFailed", |run| Command::TimeOutRun { run }),
        ("LeaseVoided", |run| Command::VoidLease { run, because: "host_rebooted" }),
        ("WorkCancelled", |run| cancel(run.work)),
        ("AttemptFailed", |_| Command::SuspendAgent { agent: "worker".parse().unwrap(), reason: "odd".to_owned() }),
    ];
    for (end, way) in ways {
        let ground = Sqlite::new();
        let mut store = ground.open(None);
        let store = &mut *store;
        enrol(store);
        done(store, person(submit(json!([{"title": "x", "limits": {"max_cost": "1.00 USD"}}]))));
        let held = claim(store);
        let first = done(store, reserve(held, 600_000, 7))[0].envelope.index;
        let second = done(store, reserve(held, 0, 5))[0].envelope.index;
        let events = done(store, person(way(held)));
        let settled: Vec<_> = events
            .iter()
            .filter_map(|event| match &event.data {
                EventData::CostSettled(data) => {
                    assert_eq!((data.source, data.accounts.len()), (AmountSource::Estimated, 6));
                    Some((data.reservation, data.micro_usd, data.tokens))
                }
                _ => None,
            })
            .collect();
        assert_eq!(settled, [(Some(first), Some(600_000), 7), (Some(second), None, 5)], "{end}: unpriced is not zero");
        let order: Vec<&str> =
            kinds(&events).into_iter().filter(|kind| *kind == "CostSettled" || *kind == end).collect();
        assert_eq!(order, ["CostSettled", "CostSettled", end]);
        let late = Spending {
            reservation: Some(first),
            micro_usd: Some(1),
            tokens: 1,
            source: AmountSource::Reported,
            effective_model: None,
        };
        let Answer::Refused(problem) = commit(store, agent(Command::SettleCost { run: held, cost: late })) else {
            panic!("{end}")
        };
        assert_eq!(problem.code.as_str(), "stale_fence");
        assert!(problem.hint.unwrap().contains("settled as estimated"), "{end}");
    }
}

pub(crate) fn open_reservations_of_a_run_have_a_bound(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let store = &mut *store;
    let run = running(store);
    for _ in 0..64 {
        done(store, reserve(run, 0, 1));
    }
    let Answer::Refused(problem) = commit(store, reserve(run, 0, 1)) else { panic!() };
    assert_eq!(problem.code.as_str(), "out_of_bounds");
    let ended = done(store, agent(Command::FailRun { run, message: String::new() }));
    assert_eq!(kinds(&ended).iter().filter(|kind| **kind == "CostSettled").count(), 64);
}
