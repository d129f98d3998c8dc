//! What every store must do, whatever it is made of. Each rule is a function over a way to open stores; at the end the
//! rules are held against the stores that there are.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use agentd::domain::account::MAX_AMOUNT;
use agentd::domain::command::{Completion, NewAgent, RunRef, Spending, Submitter};
use agentd::domain::work::prepare::prepare;
use agentd::domain::{Command, Defaults};
use agentd::ledger::append::Appender;
use agentd::ledger::checkpoint::Moment;
use agentd::ledger::incarnation::{HostKeys, Opened};
use agentd::ledger::open::open_writer;
use agentd::ledger::sqlite::SqliteStore;
use agentd::ledger::store::{Answer, Request, Store, StoreError, World};
use agentd::policy::{Caller, Resource};
use agentd_schemas::document::WorkDocument;
use agentd_schemas::document::request::{Period, Raise};
use agentd_schemas::event::{AmountSource, Custody, Decided, Event, EventData, RunWaiting, WaitReason};
use agentd_schemas::id::{Fence, WorkId};
use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::unit::time::WallMs;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

const OWNER: u32 = 1000;
const BOOT: &str = "00000000-0000-4000-8000-000000000001";

/// One store on durable ground: opened again, it is the same ledger.
trait Ground {
    /// Opens the store. `pages` bounds its room, where given.
    fn open(&self, pages: Option<u32>) -> Box<dyn Store>;
}

fn world() -> World {
    World {
        wall_ms: 1_795_334_400_000,
        boot_ms: 60_000,
        day: "2026-11-22".to_owned(),
        month: "2026-11".to_owned(),
        defaults: Arc::new(Defaults::default()),
    }
}

fn person(command: Command) -> Request {
    let decided = Decided { rules: vec!["owner.manages_its_own".to_owned()], set: "0".repeat(64) };
    Request { caller: Caller::person(OWNER, false, false), command, decided, resource: None, key: None }
}

fn agent(command: Command) -> Request {
    Request { caller: Caller::agent("worker".parse().unwrap(), OWNER), ..person(command) }
}

fn keyed(command: Command, key: &str, digest: &str) -> Request {
    Request { key: Some((key.to_owned(), digest.to_owned())), ..person(command) }
}

/// The submit of a list of works as persons write them.
fn submit(documents: Value) -> Command {
    let documents: Vec<WorkDocument> = serde_json::from_value(documents).unwrap();
    let works = prepare(documents, &Defaults::default(), &mut |text| Ok(text.parse().unwrap())).unwrap();
    Command::SubmitWorks { owner: OWNER, works, from: Submitter::Person }
}

fn titled(title: &str) -> Command {
    submit(json!([{"title": title}]))
}

fn cancel(work: WorkId) -> Command {
    Command::CancelWork { work, reason: "enough".to_owned() }
}

fn unknown_work() -> WorkId {
    "w-7kq3x2mbnd5fa6uz".parse().unwrap()
}

fn committed(answer: &Answer) -> &[Event] {
    match answer {
        Answer::Committed(events) => events,
        other => panic!("{other:?}"),
    }
}

fn commit(store: &mut dyn Store, request: Request) -> Answer {
    store.commit(&[request], &world()).unwrap().pop().unwrap()
}

fn done(store: &mut dyn Store, request: Request) -> Vec<Event> {
    committed(&commit(store, request)).to_vec()
}

fn work_of(event: &Event) -> WorkId {
    event.envelope.subject.id().parse().unwrap()
}

fn kinds(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(|event| event.data.type_name()).collect()
}

fn a_refused_neighbour_does_not_disturb_a_batch(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let before = store.size();
    let batch = [person(titled("a")), person(cancel(unknown_work())), person(titled("b"))];
    let answers = store.commit(&batch, &world()).unwrap();
    let (first, last) = (committed(&answers[0]), committed(&answers[2]));
    assert!(matches!(&answers[1], Answer::Refused(_)), "{answers:?}");
    assert_eq!((first[0].envelope.index, last[0].envelope.index), (before, before + 1));
    assert_eq!(store.size(), before + 2);
}

fn a_batch_of_refusals_writes_nothing(ground: &dyn Ground) {
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

fn a_command_that_cannot_be_stored_fails_alone(ground: &dyn Ground) {
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

fn a_list_may_name_its_works_before_they_stand_in_it(ground: &dyn Ground) {
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

fn an_amount_beyond_every_table_is_refused_by_name(ground: &dyn Ground) {
    let documents = serde_json::from_value(json!([{"title": "x", "limits": {"max_tokens": u64::MAX}}])).unwrap();
    let problem = prepare(documents, &Defaults::default(), &mut |text| Ok(text.parse().unwrap())).unwrap_err();
    assert_eq!(problem.code.as_str(), "out_of_bounds");
    let mut store = ground.open(None);
    enrol(&mut *store);
    done(&mut *store, person(submit(json!([{"title": "x", "limits": {"max_tokens": 5}}]))));
    let run = claim(&mut *store);
    let (micro_usd, source, effective_model) = (Some(1), AmountSource::Reported, None);
    let settled = Spending { reservation: Some(u64::MAX), micro_usd, tokens: 0, source, effective_model };
    let raise = Raise { max_tokens: Some(u64::MAX), ..Raise::default() };
    let (account, period) = ("owner:1000".to_owned(), Period::Day);
    let mut second = worker("second", 10);
    second.document.limits.max_tokens_per_day = Some(u64::MAX);
    for (request, code) in [
        (agent(Command::ReserveCost { run, micro_usd: 0, tokens: u64::MAX }), "out_of_bounds"),
        (agent(Command::SettleCost { run, cost: settled }), "not_found"),
        (person(Command::RaiseLimits { work: run.work, raise }), "out_of_bounds"),
        (
            person(Command::SetAccountLimit { account, period, micro_usd: None, tokens: Some(u64::MAX) }),
            "out_of_bounds",
        ),
        (person(Command::EnrolAgent { agent: Box::new(second) }), "out_of_bounds"),
        (person(Command::Redact { event: u64::MAX, slot: 0, reason: "personal".to_owned() }), "not_found"),
    ] {
        let command = format!("{:?}", request.command);
        let Answer::Refused(problem) = commit(&mut *store, request) else { panic!("{command}") };
        assert_eq!(problem.code.as_str(), code, "{command}: {}", problem.message);
    }
}

/// A run of an agent on a new ledger.
fn running(store: &mut dyn Store) -> RunRef {
    enrol(store);
    done(store, person(titled("x")));
    claim(store)
}

fn limit(account: &str, period: Period, micro_usd: Option<u64>, tokens: Option<u64>) -> Request {
    person(Command::SetAccountLimit { account: account.to_owned(), period, micro_usd, tokens })
}

fn reserve(run: RunRef, micro_usd: u64, tokens: u64) -> Request {
    agent(Command::ReserveCost { run, micro_usd, tokens })
}

/// The account that a reservation waits for.
fn waits_for(events: &[Event]) -> Option<&str> {
    match &events[0].data {
        EventData::RunWaiting(RunWaiting { reason: WaitReason::Budget { account, .. } }) => Some(account),
        EventData::CostReserved(_) => None,
        other => panic!("{other:?}"),
    }
}

fn a_limit_that_is_not_given_stays(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let run = running(&mut *store);
    let own = |micro_usd, tokens| limit("agent:worker", Period::Day, micro_usd, tokens);
    done(&mut *store, own(Some(10), Some(5)));
    done(&mut *store, own(Some(MAX_AMOUNT), None));
    assert_eq!(waits_for(&done(&mut *store, reserve(run, 15, 6))), Some("agent:worker/day"), "the tokens stay");
    done(&mut *store, own(None, Some(MAX_AMOUNT)));
    done(&mut *store, person(Command::ResumeBudget { work: run.work }));
    done(&mut *store, limit("owner:1000", Period::Day, None, Some(5)));
    let too_much = Defaults::default().owner_day_micro_usd + 1;
    assert_eq!(waits_for(&done(&mut *store, reserve(run, too_much, 0))), Some("owner:1000/day"), "the default stays");
    assert!(matches!(commit(&mut *store, own(None, None)), Answer::Refused(_)));
}

fn a_month_of_every_account_is_a_limit(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let run = running(&mut *store);
    assert_eq!(waits_for(&done(&mut *store, reserve(run, 0, 4))), None);
    for (nth, account) in ["agent:worker", "owner:1000", "host"].into_iter().enumerate() {
        let store = &mut *store;
        // What was set aside before there was a limit counts.
        done(store, limit(account, Period::Month, None, Some(5)));
        assert_eq!(waits_for(&done(store, reserve(run, 0, 2))), Some(format!("{account}/month").as_str()), "{nth}");
        done(store, limit(account, Period::Month, None, Some(MAX_AMOUNT)));
        assert_eq!(kinds(&done(store, person(Command::ResumeBudget { work: run.work }))), ["RunResumed"]);
    }
}

fn a_waiting_run_goes_on_when_what_it_asked_for_fits(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let store = &mut *store;
    enrol(store);
    done(store, person(submit(json!([{"title": "x", "limits": {"max_cost": "2.00 USD", "max_tokens": 10}}]))));
    let run = claim(store);
    let cost = |micro_usd| Spending {
        reservation: None,
        micro_usd: Some(micro_usd),
        tokens: 0,
        source: AmountSource::Reported,
        effective_model: None,
    };
    done(store, agent(Command::SettleCost { run, cost: cost(1_500_000) }));
    assert_eq!(waits_for(&done(store, reserve(run, 1_000_000, 0))), Some("work"));
    let resume = || person(Command::ResumeBudget { work: run.work });
    let raise = |usd: &str| {
        let raise = Raise { max_cost: Some(usd.parse().unwrap()), ..Raise::default() };
        person(Command::RaiseLimits { work: run.work, raise })
    };
    assert!(done(store, resume()).is_empty(), "half a dollar is left of one that was asked for");
    assert_eq!(kinds(&done(store, raise("2.40 USD"))), ["LimitsRaised"]);
    assert_eq!(kinds(&done(store, raise("2.50 USD"))), ["LimitsRaised", "RunResumed"]);
    assert_eq!(waits_for(&done(store, reserve(run, 1_000_000, 0))), None);
    // What was spent reached the limit and nothing was asked for: something must be left.
    let over = done(store, agent(Command::SettleCost { run, cost: cost(500_000) }));
    assert_eq!(kinds(&over), ["CostSettled", "RunWaiting"]);
    assert_eq!(kinds(&done(store, raise("3.00 USD"))), ["LimitsRaised"]);
    assert_eq!(kinds(&done(store, raise("3.01 USD"))), ["LimitsRaised", "RunResumed"]);
}

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
        let command = Command::ClaimWork { agent: name.parse().unwrap(), lease_ms: 60_000 };
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

fn parts_never_overspend_the_last_unit_of_their_whole(ground: &dyn Ground) {
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
fn reservations_nest_in_every_order(ground: &dyn Ground) {
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

fn a_part_asks_for_no_more_than_its_whole_has_left(ground: &dyn Ground) {
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

fn a_part_that_outlives_its_whole_is_bound_by_it_and_can_be_helped(ground: &dyn Ground) {
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

fn what_a_run_leaves_open_is_settled_when_it_ends(_: &dyn Ground) {
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

fn open_reservations_of_a_run_have_a_bound(ground: &dyn Ground) {
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

fn sums_stop_where_no_amount_goes_further(ground: &dyn Ground) {
    let mut store = ground.open(None);
    enrol(&mut *store);
    done(&mut *store, person(titled("dear")));
    let run = claim(&mut *store);
    let spend = |amount| {
        let (reservation, effective_model, source) = (None, None, AmountSource::Reported);
        let cost = Spending { reservation, micro_usd: Some(amount), tokens: amount, source, effective_model };
        agent(Command::SettleCost { run, cost })
    };
    assert!(matches!(commit(&mut *store, spend(MAX_AMOUNT + 1)), Answer::Refused(_)));
    for _ in 0..80 {
        let batch: Vec<Request> = (0..128).map(|_| spend(MAX_AMOUNT)).collect();
        for answer in store.commit(&batch, &world()).unwrap() {
            assert_eq!(committed(&answer)[0].data.type_name(), "CostSettled");
        }
    }
}

fn what_was_answered_is_there_when_it_is_opened_again(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let id = work_of(&done(&mut *store, person(titled("kept")))[0]);
    let (size, incarnation) = (store.size(), store.incarnation());
    drop(store);
    let mut store = ground.open(None);
    assert_eq!((store.size(), store.incarnation()), (size, incarnation));
    assert_eq!(kinds(&done(&mut *store, person(cancel(id)))), ["WorkCancelled"]);
}

fn a_later_command_of_a_batch_sees_what_an_earlier_one_wrote(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let id = work_of(&done(&mut *store, person(titled("x")))[0]);
    let answers = store.commit(&[person(cancel(id)), person(cancel(id))], &world()).unwrap();
    assert_eq!(kinds(committed(&answers[0])), ["WorkCancelled"]);
    let changed_again = matches!(&answers[1], Answer::Committed(events) if !events.is_empty());
    assert!(!changed_again, "{answers:?}");
}

fn a_repeated_key_answers_with_the_events_of_then(ground: &dyn Ground) {
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

fn a_key_within_one_batch_counts_once(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let before = store.size();
    let batch = [keyed(titled("x"), "k", "d"), keyed(titled("x"), "k", "d")];
    let answers = store.commit(&batch, &world()).unwrap();
    assert!(matches!(&answers[1], Answer::Repeated(events) if **events == *committed(&answers[0])), "{answers:?}");
    assert_eq!(store.size(), before + 1);
}

fn versions_of_a_subject_follow_each_other(ground: &dyn Ground) {
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

fn a_decision_on_what_changed_is_stale(ground: &dyn Ground) {
    let mut store = ground.open(None);
    let id = work_of(&done(&mut *store, person(titled("x")))[0]);
    let before = store.size();
    let resource = Some(Resource::owned(format!("work {id}"), OWNER + 1));
    let request = Request { resource, ..person(cancel(id)) };
    assert!(matches!(commit(&mut *store, request), Answer::Stale));
    assert_eq!(store.size(), before);
}

fn a_completion_hands_its_dependant_off_in_the_same_commit(ground: &dyn Ground) {
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

fn a_work_is_claimed_once(ground: &dyn Ground) {
    let mut store = ground.open(None);
    enrol(&mut *store);
    done(&mut *store, person(titled("only")));
    let command = || agent(Command::ClaimWork { agent: "worker".parse().unwrap(), lease_ms: 60_000 });
    let answers = store.commit(&[command(), command()], &world()).unwrap();
    let claims = answers.iter().filter(|answer| matches!(answer, Answer::Committed(events) if !events.is_empty()));
    assert_eq!(claims.count(), 1, "{answers:?}");
}

fn a_batch_without_room_is_undone_whole_and_a_smaller_one_goes_on(ground: &dyn Ground) {
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

fn a_checkpoint_that_is_given_out_is_kept(ground: &dyn Ground) {
    let mut store = ground.open(None);
    done(&mut *store, person(titled("x")));
    store.keep_checkpoint().unwrap();
    store.keep_checkpoint().unwrap();
    done(&mut *store, person(titled("y")));
}

fn worker(name: &str, seed: u8) -> NewAgent {
    NewAgent {
        document: serde_json::from_value(json!({"name": name})).unwrap(),
        owner: OWNER,
        agent_id: format!("spiffe://h-0.agentd.internal/agent/{name}"),
        public_key: PrivateKey::from_seed(&[seed; 32]).public_key().to_string(),
        custody: Custody::Resident,
        nonce: "nonce".to_owned(),
        signature: "signature".to_owned(),
    }
}

fn enrol(store: &mut dyn Store) {
    let agent = Box::new(worker("worker", 9));
    assert!(!done(store, person(Command::EnrolAgent { agent })).is_empty());
}

fn claim(store: &mut dyn Store) -> RunRef {
    let command = Command::ClaimWork { agent: "worker".parse().unwrap(), lease_ms: 60_000 };
    let events = done(store, agent(command));
    let EventData::WorkClaimed(_) = &events[0].data else { panic!("{events:?}") };
    let run = events[0].envelope.run.unwrap();
    let fence = Fence { incarnation: store.incarnation(), n: events[0].envelope.index };
    RunRef { work: run.work, attempt: run.attempt, fence }
}

fn complete(run: RunRef, judged_work: u64) -> Command {
    let completion = Completion {
        statement: b"{}".to_vec(),
        result: b"done".to_vec(),
        json: false,
        verdicts: Vec::new(),
        judged_work,
        signed_by: PrivateKey::from_seed(&[9; 32]).public_key().to_string(),
        message: None,
    };
    Command::CompleteWork { run, completion: Box::new(completion) }
}

/// SQLite on a file of its own.
struct Sqlite(PathBuf);

impl Sqlite {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("agentd-store-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Ground for Sqlite {
    fn open(&self, pages: Option<u32>) -> Box<dyn Store> {
        let mut conn = open_writer(&self.0.join("ledger.db")).unwrap();
        let key = SigningKey::from_bytes(&[7; 32]);
        let appender = match Appender::open(&conn, &key, BOOT).unwrap() {
            Opened::Running(appender) => appender,
            Opened::Restored(_) => panic!("nothing was restored"),
            Opened::Empty => {
                let public = PrivateKey::from_seed(&[8; 32]).public_key().to_string();
                let keys = HostKeys {
                    authority_key: public.clone(),
                    issuer_key: public,
                    key_certificates: Vec::new(),
                    agentd: "0.0.0".to_owned(),
                };
                let moment = Moment { wall: WallMs::saturating(world().wall_ms), boot_ms: 1 };
                let tx = conn.transaction().unwrap();
                let started = Appender::start(&tx, "h-0.agentd.internal", keys, &key, BOOT, moment).unwrap();
                tx.commit().unwrap();
                started.0
            }
        };
        if let Some(more) = pages {
            let used: u32 = conn.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
            conn.pragma_update(None, "max_page_count", used + more).unwrap();
        }
        Box::new(SqliteStore::new(conn, appender))
    }
}

macro_rules! conformance {
    ($ground:ident: $($rule:ident)*) => {
        mod sqlite {
            $(#[test]
            fn $rule() {
                super::$rule(&super::$ground::new());
            })*
        }
    };
}

conformance! { Sqlite:
    a_refused_neighbour_does_not_disturb_a_batch
    a_command_that_cannot_be_stored_fails_alone
    a_list_may_name_its_works_before_they_stand_in_it
    an_amount_beyond_every_table_is_refused_by_name
    a_limit_that_is_not_given_stays
    a_month_of_every_account_is_a_limit
    a_waiting_run_goes_on_when_what_it_asked_for_fits
    parts_never_overspend_the_last_unit_of_their_whole
    reservations_nest_in_every_order
    a_part_asks_for_no_more_than_its_whole_has_left
    a_part_that_outlives_its_whole_is_bound_by_it_and_can_be_helped
    what_a_run_leaves_open_is_settled_when_it_ends
    open_reservations_of_a_run_have_a_bound
    sums_stop_where_no_amount_goes_further
    a_batch_of_refusals_writes_nothing
    what_was_answered_is_there_when_it_is_opened_again
    a_later_command_of_a_batch_sees_what_an_earlier_one_wrote
    a_repeated_key_answers_with_the_events_of_then
    a_key_within_one_batch_counts_once
    versions_of_a_subject_follow_each_other
    a_decision_on_what_changed_is_stale
    a_completion_hands_its_dependant_off_in_the_same_commit
    a_work_is_claimed_once
    a_batch_without_room_is_undone_whole_and_a_smaller_one_goes_on
    a_checkpoint_that_is_given_out_is_kept
}
