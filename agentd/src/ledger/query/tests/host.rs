use agentd_schemas::document::request::{Period, Scope};
use agentd_schemas::event::{
    AccountLimitSet, AmountSource, ClockJumped, CostSettled, FailureReason, Frozen, Subject, WaitReason, WorkFailed,
};
use agentd_schemas::event::{WorkRetried, WorkState};
use agentd_schemas::id::RunId;
use agentd_schemas::view::{Denials, Reads, StatusView};

use super::{Log, at, never, no_limit, operator, person};
use crate::domain::{Defaults, Draft};
use crate::ledger::query::host::{Running, Today, Window, accounts, digest, first_at, oldest_waiting, status};
use crate::ledger::query::parked::parked_queues;
use crate::policy::Viewer;

const DAY: &str = "2026-11-22";

fn running() -> Running {
    Running {
        version: "0.1.0".to_owned(),
        since: at(0),
        now: at(0),
        mode: "private".to_owned(),
        critical: Vec::new(),
        warnings: Vec::new(),
        memory_bytes: 1,
        database_bytes: 2,
        disk_free_percent: 3,
        denials: Denials { denied: 4, unauthenticated: 5 },
        reads: Reads { own: 6, others: 7 },
        runs: agentd_schemas::view::RunsView::default(),
    }
}

fn status_of(log: &Log, viewer: &Viewer) -> StatusView {
    let queues = parked_queues(&log.conn, &Defaults::default()).unwrap();
    status(&log.conn, viewer, DAY, &|queue| queues.contains(&queue), running(), &Defaults::default()).unwrap()
}

/// Spends 200 micro-USD and one call without a price.
fn spend(log: &mut Log, work: super::Work) {
    let run = RunId { work: work.id, attempt: 1 };
    for (micro_usd, source) in [(Some(200), AmountSource::Reported), (None, AmountSource::Estimated)] {
        let settled = CostSettled {
            reservation: None,
            micro_usd,
            tokens: 20,
            source,
            effective_model: None,
            released_micro_usd: 0,
            released_tokens: 0,
            accounts: [
                "agent:fixer/day/2026-11-22",
                "agent:fixer/month/2026-11",
                "owner:1000/day/2026-11-22",
                "owner:1000/month/2026-11",
                "host/day/2026-11-22",
                "host/month/2026-11",
            ]
            .map(str::to_owned)
            .to_vec(),
        };
        log.tell_by(1000, Draft::new(Subject::Work(work.id), settled).in_run(run, 1));
    }
}

#[test]
fn status_counts_what_the_viewer_may_see() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    log.submit(1000, "ready", |_| {});
    log.submit(1000, "parked", |spec| spec.required_skills = vec!["fortran".parse().unwrap()]);
    log.submit(1001, "parked too", |_| {});
    let works = |viewer: &Viewer| -> Vec<(String, u64)> { status_of(&log, viewer).works.into_iter().collect() };
    let count = |state: &str, n: u64| (state.to_owned(), n);
    assert_eq!(works(&operator()), [count("parked", 2), count("ready", 1)]);
    assert_eq!(works(&person(1000)), [count("parked", 1), count("ready", 1)]);
    assert_eq!(works(&person(1001)), [count("parked", 1)]);
    assert!(works(&person(7)).is_empty());
    assert_eq!(status_of(&log, &person(1000)).agents.get("probation"), Some(&1));
    assert!(status_of(&log, &person(1001)).agents.is_empty());
}

#[test]
fn status_says_whose_log_it_is_and_what_the_daemon_knows() {
    let mut log = Log::new();
    log.tell(Subject::Host, ClockJumped { by_ms: -7_200_000 });
    let view = status_of(&log, &person(1000));
    assert_eq!(view.trust_domain, "h-test.agentd.internal");
    assert_eq!((view.origin.as_str(), view.incarnation, view.events), ("h-test.agentd.internal/log/1", 1, 2));
    assert_eq!((view.memory_bytes, view.database_bytes, view.disk_free_percent), (1, 2, 3));
    assert_eq!((view.health, view.clock_held_ms), (vec!["ok".to_owned()], Some(-7_200_000)));
    assert_eq!(view.denials, Denials::default(), "what was refused is for who sees everything");
    assert_eq!(status_of(&log, &operator()).denials, Denials { denied: 4, unauthenticated: 5 });
}

#[test]
fn what_waits_for_a_person_names_the_command_that_answers() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let mut claimed = |title: &str| {
        let work = log.submit(1000, title, |_| {});
        log.claim(work, "fixer", 1);
        work
    };
    let (accept, answer, own, above) = (claimed("accept"), claimed("answer"), claimed("own"), claimed("above"));
    let judged = log.judge(accept, "{}");
    log.wait(answer, WaitReason::Person);
    log.wait(own, WaitReason::Budget { account: "work".to_owned(), micro_usd: 1, tokens: 0 });
    log.wait(above, WaitReason::Budget { account: "owner:1000/day".to_owned(), micro_usd: 1, tokens: 0 });
    let waiting = status_of(&log, &person(1000)).waiting;
    let says: Vec<_> = waiting.iter().map(|waits| (waits.work, waits.what.as_str(), waits.command.clone())).collect();
    let short = |place: usize| waiting[place].short.clone();
    assert_eq!(
        says,
        [
            (accept.id, "accept", format!("agentctl work accept {}", short(0))),
            (above.id, "budget", "agentctl budget set owner:1000 --per day --max-cost …".to_owned()),
            (own.id, "budget", format!("agentctl work raise {} --max-cost …", short(2))),
            (answer.id, "answer", format!("agentctl work answer {} …", short(3))),
        ]
    );
    assert_eq!(waiting[0].since, at(judged));
    assert!(status_of(&log, &person(1001)).waiting.is_empty());
}

#[test]
fn waiting_is_capped_at_fifty() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    for n in 0..55 {
        let work = log.submit(1000, &n.to_string(), |_| {});
        log.claim(work, "fixer", 1);
        log.judge(work, "{}");
    }
    assert_eq!(status_of(&log, &person(1000)).waiting.len(), 50);
}

#[test]
fn results_do_not_hide_questions_and_the_oldest_wait_is_that_of_all() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let asked = log.submit(1000, "asked", |_| {});
    log.claim(asked, "fixer", 1);
    log.wait(asked, WaitReason::Person);
    let since = status_of(&log, &person(1000)).waiting[0].since;
    for n in 0..60 {
        let work = log.submit(1000, &n.to_string(), |_| {});
        log.claim(work, "fixer", 1);
        log.judge(work, "{}");
    }
    let waiting = status_of(&log, &person(1000)).waiting;
    assert_eq!((waiting.len(), waiting.last().unwrap().work), (50, asked.id));
    assert_eq!(oldest_waiting(&log.conn).unwrap(), Some(since));
}

#[test]
fn freezes_of_others_are_not_told() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let work = log.submit(1000, "work", |_| {});
    for scope in [Scope::All, Scope::Work(work.id), Scope::Agent("fixer".parse().unwrap())] {
        log.tell(Subject::Host, Frozen { scope, reason: "look".to_owned() });
    }
    assert_eq!(status_of(&log, &person(1000)).frozen.len(), 3);
    assert_eq!(status_of(&log, &person(1001)).frozen, [Scope::All]);
}

#[test]
fn money_today_keeps_what_it_rests_on() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let work = log.submit(1000, "work", |_| {});
    log.claim(work, "fixer", 1);
    spend(&mut log, work);
    let today = status_of(&log, &person(1000)).today;
    assert_eq!((today.spent.0.as_micro(), today.tokens, today.unpriced_calls), (200, 40, 1));
    let sources: Vec<_> = today.by_source.iter().map(|(source, money)| (*source, money.0.as_micro())).collect();
    assert_eq!(sources, [(AmountSource::Reported, 200), (AmountSource::Estimated, 0)]);
    assert_eq!(status_of(&log, &person(1001)).today, agentd_schemas::view::Moneys::default());
}

#[test]
fn accounts_show_their_period_and_where_the_limit_comes_from() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let work = log.submit(1000, "work", |_| {});
    log.claim(work, "fixer", 1);
    spend(&mut log, work);
    let limit = AccountLimitSet { max_cost_micro_usd: Some(5), ..no_limit() };
    log.tell(Subject::Account("owner:1000/day".to_owned()), limit);
    let defaults = Defaults::default();
    let shown = |viewer: &Viewer| -> Vec<(String, String, Option<u64>, u64, String)> {
        let today = Today { day: DAY, month: "2026-11" };
        let accounts = accounts(&log.conn, viewer, &defaults, today).unwrap();
        let line = |of: agentd_schemas::view::AccountView| {
            (of.account, of.name, of.max_cost.map(|most| most.0.as_micro()), of.spent.0.as_micro(), of.limit_source)
        };
        accounts.into_iter().map(line).collect()
    };
    let line = |account: &str, name: &str, most: Option<u64>, spent: u64, source: &str| {
        (account.to_owned(), name.to_owned(), most, spent, source.to_owned())
    };
    let own = [
        line("agent:fixer", DAY, None, 200, "default"),
        line("agent:fixer", "2026-11", None, 200, "default"),
        line("owner:1000", DAY, Some(5), 200, "set"),
        line("owner:1000", "2026-11", Some(defaults.owner_month_micro_usd), 200, "default"),
    ];
    assert_eq!(shown(&person(1000)), own);
    let all = shown(&operator());
    assert!(all.contains(&line("host", DAY, Some(defaults.host_day_micro_usd), 200, "default")));
    assert!(all.contains(&line("host", "2026-11", None, 200, "default")));
    assert!(own.iter().all(|account| all.contains(account)));
    let strangers = shown(&person(1001));
    assert!(strangers.iter().all(|account| account.0 == "owner:1001" && account.3 == 0), "{strangers:?}");
}

#[test]
fn a_limit_that_was_not_given_is_shown_as_it_stays() {
    let mut log = Log::new();
    let today = Today { day: DAY, month: "2026-11" };
    let defaults = Defaults::default();
    let shown = |log: &Log| {
        let viewer = operator();
        let accounts = accounts(&log.conn, &viewer, &defaults, today).unwrap();
        let host = accounts.into_iter().find(|of| of.account == "host" && of.period == Period::Day).unwrap();
        (host.max_cost.map(|most| most.0.as_micro()), host.max_tokens, host.limit_source)
    };
    let mut set = |max_cost_micro_usd, max_tokens| {
        let limit = AccountLimitSet { max_cost_micro_usd, max_tokens, ..no_limit() };
        log.tell(Subject::Account("host/day".to_owned()), limit);
        shown(&log)
    };
    assert_eq!(set(None, Some(5)), (Some(defaults.host_day_micro_usd), Some(5), "set".to_owned()));
    assert_eq!(set(Some(7), None), (Some(7), Some(5), "set".to_owned()));
    assert_eq!(set(None, Some(0)), (Some(7), Some(0), "set".to_owned()));
    let mut gone = |no_max_cost, no_max_tokens| {
        let limit = AccountLimitSet { no_max_cost, no_max_tokens, ..no_limit() };
        log.tell(Subject::Account("host/day".to_owned()), limit);
        shown(&log)
    };
    assert_eq!(gone(false, true), (Some(7), None, "set".to_owned()));
    assert_eq!(gone(true, false), (Some(defaults.host_day_micro_usd), None, "default".to_owned()));
}

#[test]
fn the_first_event_at_a_time_is_found_by_bisection() {
    let mut log = Log::new();
    for n in 0..20 {
        log.submit(1000, &n.to_string(), |_| {});
    }
    for index in 0..21 {
        assert_eq!(first_at(&log.conn, at(index)).unwrap(), index);
    }
    assert_eq!(first_at(&log.conn, agentd_schemas::unit::time::WallMs::saturating(at(4).as_ms() + 1)).unwrap(), 5);
    assert_eq!(first_at(&log.conn, at(100)).unwrap(), 21);
    assert_eq!(first_at(&log.conn, at(-100)).unwrap(), 0);
}

#[test]
fn a_digest_tells_what_happened_in_its_window_alone() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let early = log.submit(1000, "early", |_| {});
    log.claim(early, "fixer", 1);
    log.complete(early, "fixer", "{}");
    let since = i64::try_from(log.appender.size()).unwrap();
    for title in ["one", "two"] {
        let work = log.submit(1000, title, |_| {});
        log.claim(work, "fixer", 1);
        spend(&mut log, work);
        log.complete(work, "fixer", "{}");
    }
    let failed = log.submit(1000, "three", |_| {});
    log.claim(failed, "fixer", 1);
    log.reject(failed, "fixer", "1", None);
    log.tell(Subject::Work(failed.id), WorkFailed { reason: FailureReason::Rejected });
    log.submit(1001, "foreign", |_| {});
    let window =
        Window { since: at(since), until: at(900), first_day: DAY, last_day: DAY, defaults: &Defaults::default() };
    let told = |viewer: &Viewer| digest(&log.conn, viewer, window, &never).unwrap();
    let view = told(&person(1000));
    assert_eq!((view.submitted, view.completed_count, view.failed_count), (3, 2, 1));
    assert_eq!(view.completed.iter().map(|work| work.title.as_str()).collect::<Vec<_>>(), ["two", "one"]);
    assert_eq!(view.failed[0].reason.as_deref(), Some("rejected: /: not an object"));
    assert_eq!(view.cost_per_completed.unwrap().0.as_micro(), 200);
    assert_eq!(view.next, [format!("agentctl why {}", view.failed[0].short)]);
    assert_eq!(view.parked, 0);
    let foreign = digest(&log.conn, &person(1001), window, &|_| true).unwrap();
    assert_eq!((foreign.parked, foreign.next), (1, vec!["agentctl work list --state parked".to_owned()]));
    assert_eq!(told(&operator()).submitted, 4);
    let stranger = told(&person(1001));
    assert_eq!((stranger.submitted, stranger.completed_count, stranger.failed_count), (1, 0, 0));
    assert_eq!(stranger.cost_per_completed, None);
}

#[test]
fn a_work_that_was_retried_counts_once_in_a_digest_and_as_what_it_is_now() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let failed = log.submit(1000, "three", |_| {});
    log.claim(failed, "fixer", 1);
    log.reject(failed, "fixer", "1", None);
    log.tell(Subject::Work(failed.id), WorkFailed { reason: FailureReason::Rejected });
    let window = Window { since: at(0), until: at(900), first_day: DAY, last_day: DAY, defaults: &Defaults::default() };
    let again = WorkRetried {
        state: WorkState::Ready,
        max_attempts: 3,
        not_before: None,
        deadline: None,
        latest_start: None,
        finish_by: None,
        reason: "again".to_owned(),
    };
    log.tell(Subject::Work(failed.id), again);
    assert_eq!(digest(&log.conn, &person(1000), window, &never).unwrap().failed_count, 0);
    log.claim(failed, "fixer", 2);
    log.reject(failed, "fixer", "1", None);
    log.tell(Subject::Work(failed.id), WorkFailed { reason: FailureReason::Rejected });
    let view = digest(&log.conn, &person(1000), window, &never).unwrap();
    assert_eq!((view.failed_count, view.failed.len()), (1, 1));
}
