//! Amounts, and the accounts that bound them.

use agentd::domain::account::{Limit, MAX_AMOUNT};
use agentd::domain::command::{RunRef, Spending};
use agentd::domain::work::prepare::prepare;
use agentd::domain::{Command, Defaults};
use agentd::ledger::store::{Answer, Request, Store};
use agentd_schemas::document::request::{Period, Raise};
use agentd_schemas::event::{AmountSource, Event, EventData, RunWaiting, WaitReason};
use serde_json::json;

use super::ground::Ground;
use super::scene::{agent, claim, commit, committed, done, enrol, kinds, person, submit, titled, worker, world};

pub(crate) fn an_amount_beyond_every_table_is_refused_by_name(ground: &dyn Ground) {
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
            person(Command::SetAccountLimit {
                account,
                period,
                micro_usd: Limit::Same,
                tokens: Limit::Most(u64::MAX),
                declared: None,
            }),
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
pub(crate) fn running(store: &mut dyn Store) -> RunRef {
    enrol(store);
    done(store, person(titled("x")));
    claim(store)
}

pub(crate) fn limit(account: &str, period: Period, micro_usd: Option<u64>, tokens: Option<u64>) -> Request {
    let [micro_usd, tokens] = [micro_usd, tokens].map(|most| most.map_or(Limit::Same, Limit::Most));
    person(Command::SetAccountLimit { account: account.to_owned(), period, micro_usd, tokens, declared: None })
}

pub(crate) fn reserve(run: RunRef, micro_usd: u64, tokens: u64) -> Request {
    agent(Command::ReserveCost { run, micro_usd, tokens })
}

/// The account that a reservation waits for.
pub(crate) fn waits_for(events: &[Event]) -> Option<&str> {
    match &events[0].data {
        EventData::RunWaiting(RunWaiting { reason: WaitReason::Budget { account, .. } }) => Some(account),
        EventData::CostReserved(_) => None,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn a_limit_that_is_not_given_stays(ground: &dyn Ground) {
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

pub(crate) fn a_month_of_every_account_is_a_limit(ground: &dyn Ground) {
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

pub(crate) fn a_waiting_run_goes_on_when_what_it_asked_for_fits(ground: &dyn Ground) {
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

pub(crate) fn sums_stop_where_no_amount_goes_further(ground: &dyn Ground) {
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
    for _ in 0..75 {
        let batch: Vec<Request> = (0..128).map(|_| spend(MAX_AMOUNT)).collect();
        for answer in store.commit(&batch, &world()).unwrap() {
            assert_eq!(committed(&answer)[0].data.type_name(), "CostSettled");
        }
    }
}
