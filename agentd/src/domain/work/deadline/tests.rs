use std::sync::Arc;

use agentd_schemas::event::{Actor, EventData, WorkSubmitted};

use super::*;
use crate::domain::fixture::{self, names};

/// A work whose every time came just now.
fn late(state: WorkState, on_deadline: OnDeadline) -> WorkFacts {
    let now = Some(fixture::env().wall);
    let spec = WorkSubmitted { deadline: now, latest_start: now, finish_by: now, on_deadline, ..fixture::submitted() };
    WorkFacts { state, spec: Arc::new(spec), ..fixture::work() }
}

fn passed(work: &WorkFacts, env: &Env) -> Vec<&'static str> {
    names(&pass(work, Some(&fixture::agent()), env).unwrap())
}

#[test]
fn a_deadline_does_to_each_state_what_the_work_says() {
    use WorkState::*;
    let (env, breach) = (fixture::env(), &["ServiceLevelBreached"][..]);
    let stopped = &["ServiceLevelBreached", "AttemptFailed", "WorkFailed"][..];
    for state in WorkState::ALL {
        let (goes_on, stops) = match state {
            Scheduled | Blocked | Ready => (&["WorkExpired"][..], &["WorkExpired"][..]),
            Claimed | Running | Waiting => (breach, stopped),
            // A person has it: nobody is stopped.
            Verifying => (breach, breach),
            Completed | Failed | Cancelled | Expired => (&[][..], &[][..]),
        };
        assert_eq!(passed(&late(state, OnDeadline::Breach), &env), goes_on, "{state:?} goes on");
        assert_eq!(passed(&late(state, OnDeadline::Stop), &env), stops, "{state:?} stops");
    }
}

#[test]
fn a_deadline_that_has_not_come_for_sure_does_nothing() {
    let (work, env) = (late(WorkState::Ready, OnDeadline::Stop), fixture::env());
    let earlier = Env { wall: agentd_schemas::unit::time::WallMs::saturating(env.wall.as_ms() - 1), ..env.clone() };
    assert!(passed(&work, &earlier).is_empty(), "a millisecond before");
    assert!(passed(&work, &Env { clock_held: true, ..env.clone() }).is_empty(), "nobody looked at the clock");
    let without = WorkFacts { spec: Arc::new(fixture::submitted()), ..work };
    assert!(passed(&without, &env).is_empty(), "there is none");
}

#[test]
fn a_deadline_is_missed_once_and_by_the_hosts_rule() {
    let (work, env) = (late(WorkState::Running, OnDeadline::Stop), fixture::env());
    let drafts = pass(&work, Some(&fixture::agent()), &env).unwrap();
    assert!(drafts.iter().all(|draft| draft.actor == Some(Actor::Host)), "{drafts:?}");
    let EventData::ServiceLevelBreached(breached) = &drafts[0].data else { panic!("{drafts:?}") };
    assert_eq!((breached.level, breached.due), (ServiceLevelKind::Deadline, env.wall));
    let EventData::AttemptFailed(failed) = &drafts[1].data else { panic!("{drafts:?}") };
    assert_eq!((failed.reason, failed.retry_after_ms), (FailureReason::Deadline, None), "no attempt follows");
    assert!(passed(&WorkFacts { breached_deadline: true, ..work }, &env).is_empty());
}

#[test]
fn a_service_level_is_noted_once_while_it_can_still_be_missed() {
    use ServiceLevelKind::{Deadline, Finish, Start};
    let env = fixture::env();
    let fresh = |state| WorkFacts { attempts: 0, run: None, ..late(state, OnDeadline::Breach) };
    let noted = |work: &WorkFacts, level, env: &Env| !breach(work, level, env).unwrap().is_empty();
    for state in WorkState::ALL {
        assert_eq!(noted(&fresh(state), Start, &env), state.is_future(), "start, {state:?}");
        assert_eq!(noted(&fresh(state), Finish, &env), !state.is_past(), "finish, {state:?}");
        assert!(!noted(&fresh(state), Deadline, &env), "a deadline passes by its own rule, {state:?}");
    }
    let ready = fresh(WorkState::Ready);
    let breached = breach(&ready, Start, &env).unwrap();
    let EventData::ServiceLevelBreached(told) = &breached[0].data else { panic!("{breached:?}") };
    assert_eq!((told.level, told.due, breached[0].actor.clone()), (Start, env.wall, Some(Actor::Host)));
    assert!(!noted(&WorkFacts { breached_start: true, ..ready.clone() }, Start, &env), "once");
    assert!(!noted(&WorkFacts { breached_finish: true, ..ready.clone() }, Finish, &env), "once");
    assert!(!noted(&WorkFacts { attempts: 1, ..ready.clone() }, Start, &env), "it was started, then came back");
    for level in [Start, Finish] {
        assert!(!noted(&ready, level, &Env { clock_held: true, ..env.clone() }), "{level:?}: the clock is held");
        let without = WorkFacts { spec: Arc::new(fixture::submitted()), ..ready.clone() };
        assert!(!noted(&without, level, &env), "{level:?}: none was promised");
    }
}
