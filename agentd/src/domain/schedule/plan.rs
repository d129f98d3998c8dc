//! Schedules as the ledger knows them: adding, pausing, and what one look at the clock submits.

use agentd_schemas::content::WORK_DOCUMENT;
use agentd_schemas::document::ScheduleDocument;
use agentd_schemas::document::schedule::{MAX_CATCH_UP, MAX_QUEUED};
use agentd_schemas::event::{
    ScheduleAdded, SchedulePaused, ScheduleRemoved, ScheduleResumed, ScheduleTicked, Subject, TickOutcome,
    WorkCancelled, WorkState,
};
use agentd_schemas::id::{ScheduleId, WorkId};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::time::WallMs;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Expression, OnTick, Overlap, Timetable, on_tick};
use crate::domain::agent::{check_declared, check_reason};
use crate::domain::command::Submitter;
use crate::domain::work::spend::settle_open;
use crate::domain::work::submit::{SubmitFacts, check_repeated, submit};
use crate::domain::work::{NewWork, WorkFacts};
use crate::domain::{Decision, Draft, Env, Rejection};

/// How the reason of a tick begins whose work was refused.
pub const REJECTED: &str = "rejected: ";

/// A checked schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSchedule {
    /// Owner of the works.
    pub owner: u32,
    /// The document, its zone filled in.
    pub document: ScheduleDocument,
    /// The zone of that name.
    pub zone: TimeZone,
    /// The work of a tick, checked.
    pub work: NewWork,
    /// The file that declares it.
    pub declared: Option<String>,
}

/// Checks the parts of a schedule document that need no facts.
pub fn prepare(
    owner: u32,
    document: ScheduleDocument,
    zone: TimeZone,
    work: NewWork,
) -> Result<NewSchedule, Rejection> {
    parse(&document.cron)?;
    Ok(NewSchedule { owner, document, zone, work, declared: None })
}

fn parse(cron: &str) -> Result<Expression, Rejection> {
    Expression::parse(cron).map_err(|error| {
        Problem::new(Code::InvalidDocument, format!("cron {cron:?}: {error}"))
            .hint("five fields: minute hour day-of-month month day-of-week, or @daily, or @every 15min")
    })
}

/// What the ledger knows when a schedule is added.
#[derive(Debug, Clone, Default)]
pub struct AddFacts {
    /// The owner has one of this name.
    pub name_taken: bool,
    /// Schedules on the host.
    pub count: u64,
    /// Those of the owner.
    pub own: u64,
    /// What a submit of the work needs to know.
    pub submit: SubmitFacts,
}

/// Adds a schedule.
pub fn add(facts: &AddFacts, new: &NewSchedule, env: &Env) -> Decision {
    let document = &new.document;
    check_declared(new.declared.as_deref())?;
    let name = &document.name;
    if facts.name_taken {
        return Err(Problem::new(Code::NameTaken, format!("a schedule is named {name} already"))
            .hint(format!("remove it first: agentctl schedule remove {name}")));
    }
    if facts.count >= env.defaults.max_schedules {
        return Err(Problem::new(Code::Busy, format!("{} schedules exist, more are not allowed", facts.count))
            .hint("remove some, or raise limits.max_schedules in the configuration"));
    }
    if facts.own >= env.defaults.max_schedules_per_owner {
        let message = format!("uid {} has {} schedules, one owner may not have more", new.owner, facts.own);
        return Err(Problem::new(Code::Busy, message)
            .hint("remove some, or raise limits.max_schedules_per_owner in the configuration"));
    }
    check_repeated(&facts.submit, new.owner, &new.work, env)?;
    let start = timestamp(env.wall);
    let timetable = Timetable::new(parse(&document.cron)?, new.zone.clone(), start);
    let added = ScheduleAdded {
        name: name.clone(),
        owner: new.owner,
        cron: document.cron.clone(),
        time_zone: document.time_zone.clone().unwrap_or_else(|| "UTC".to_owned()),
        missed: document.missed,
        overlap: document.overlap,
        next: timetable.next_after(start).map(wall),
        declared: new.declared.clone(),
    };
    let work = serde_json::to_vec(&document.work).map_err(Problem::internal)?;
    let id = ScheduleId::from_bytes(env.ids.id(0));
    Ok(vec![Draft::new(Subject::Schedule(id), added).with_blob(0, WORK_DOCUMENT, work)])
}

/// Whether ticks submit works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleState {
    /// They do.
    Active,
    /// They are skipped.
    Paused,
    /// It is gone.
    Removed,
}

/// One schedule as the projection has it.
#[derive(Debug, Clone)]
pub struct ScheduleFacts {
    /// Its id.
    pub id: ScheduleId,
    /// What was added.
    pub added: ScheduleAdded,
    /// When.
    pub start: WallMs,
    /// Its state.
    pub state: ScheduleState,
    /// The last tick that was dealt with.
    pub last: Option<WallMs>,
    /// The zone.
    pub zone: TimeZone,
    /// The work of a tick; loaded for a tick alone. The error says why it cannot be submitted any more.
    pub work: Option<Result<NewWork, Rejection>>,
    /// Works of earlier ticks that are not over, oldest first.
    pub unfinished: Vec<(WorkId, WorkState)>,
    /// Those of them whose runs have something set aside.
    pub spenders: Vec<WorkFacts>,
    /// What a submit of the work needs to know.
    pub submit: SubmitFacts,
    /// The host is frozen.
    pub frozen: bool,
}

impl ScheduleFacts {
    fn subject(&self) -> Subject {
        Subject::Schedule(self.id)
    }

    fn timetable(&self) -> Result<Timetable, Rejection> {
        Ok(Timetable::new(parse(&self.added.cron)?, self.zone.clone(), timestamp(self.start)))
    }

    /// The next `count` ticks after `now`.
    pub fn upcoming(&self, now: WallMs, count: usize) -> Result<Vec<WallMs>, Rejection> {
        let timetable = self.timetable()?;
        let ticks = std::iter::successors(timetable.next_after(timestamp(now)), |tick| timetable.next_after(*tick));
        Ok(ticks.take(count).map(wall).collect())
    }
}

fn timestamp(time: WallMs) -> Timestamp {
    Timestamp::from_millisecond(time.as_ms()).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn wall(time: Timestamp) -> WallMs {
    WallMs::saturating(time.as_millisecond())
}

/// Skips ticks until resumed.
pub fn pause(schedule: &ScheduleFacts, reason: &str) -> Decision {
    check_reason("the reason", reason, false)?;
    if schedule.state == ScheduleState::Paused {
        return Ok(Vec::new());
    }
    Ok(vec![Draft::new(schedule.subject(), SchedulePaused { reason: reason.to_owned() })])
}

/// Goes on; ticks of the pause are gone.
pub fn resume(schedule: &ScheduleFacts, env: &Env) -> Decision {
    if schedule.state == ScheduleState::Active {
        return Ok(Vec::new());
    }
    let next = schedule.timetable()?.next_after(timestamp(env.wall)).map(wall);
    Ok(vec![Draft::new(schedule.subject(), ScheduleResumed { next })])
}

/// Removes it.
pub fn remove(schedule: &ScheduleFacts) -> Decision {
    Ok(vec![Draft::new(schedule.subject(), ScheduleRemoved {})])
}

/// Looks at the clock and submits what is due.
pub fn tick(schedule: &ScheduleFacts, env: &Env) -> Decision {
    if schedule.state != ScheduleState::Active || schedule.frozen {
        return Ok(Vec::new());
    }
    let timetable = schedule.timetable()?;
    let last = timestamp(schedule.last.unwrap_or(schedule.start));
    let now = timestamp(env.wall);
    let found = timetable.catch_up(schedule.added.missed, MAX_CATCH_UP as usize, last, now);
    let next = found.next.map(wall);
    let mut drafts = Vec::new();
    if let Some(passed) = found.passed {
        let outcome = TickOutcome::Skipped { because: "missed".to_owned() };
        drafts.push(ticked(schedule, wall(passed), found.skipped, outcome, next));
    }
    let mut unfinished = schedule.unfinished.clone();
    for (nth, due) in found.due.into_iter().enumerate() {
        let missed = if nth == 0 { found.skipped } else { 0 };
        one(schedule, wall(due), missed, next, &mut unfinished, &mut drafts, nth, env);
    }
    Ok(drafts)
}

#[allow(clippy::too_many_arguments, reason = "one tick is one thought")]
fn one(
    schedule: &ScheduleFacts,
    due: WallMs,
    missed: u64,
    next: Option<WallMs>,
    unfinished: &mut Vec<(WorkId, WorkState)>,
    drafts: &mut Vec<Draft>,
    nth: usize,
    env: &Env,
) {
    let queued = unfinished.iter().filter(|(_, state)| state.is_future()).count();
    let skip =
        |because: &str| ticked(schedule, due, missed, TickOutcome::Skipped { because: because.to_owned() }, next);
    match on_tick(schedule.added.overlap, !unfinished.is_empty(), queued, MAX_QUEUED as usize) {
        OnTick::Pass => return drafts.push(skip("overlap")),
        OnTick::PassFull => return drafts.push(skip("queue_full")),
        OnTick::Start | OnTick::Wait | OnTick::Replace => {}
    }
    match submitted(schedule, due, nth, env) {
        Err(problem) => drafts.push(skip(&cut(&format!("{REJECTED}{}", problem.message)))),
        Ok(draft) => {
            if schedule.added.overlap == Overlap::Replace {
                let reason = format!("replaced by the tick of {due}");
                for (id, _) in unfinished.drain(..) {
                    let spender = schedule.spenders.iter().find(|work| work.id == id);
                    drafts.extend(spender.into_iter().flat_map(settle_open));
                    drafts.push(Draft::new(Subject::Work(id), WorkCancelled { reason: reason.clone() }).by_host());
                }
            }
            if let Subject::Work(work) = draft.subject {
                unfinished.push((work, WorkState::Ready));
                drafts.push(draft);
                drafts.push(ticked(schedule, due, missed, TickOutcome::Submitted { work }, next));
            }
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(300).collect()
}

fn submitted(schedule: &ScheduleFacts, due: WallMs, nth: usize, env: &Env) -> Result<Draft, Rejection> {
    let work = schedule.work.clone().ok_or_else(|| Problem::internal("a tick was decided without its work"))??;
    let from = Submitter::Schedule { schedule: schedule.id, tick: due };
    let env = Env { ids: env.ids.derive(u32::try_from(nth).unwrap_or(u32::MAX)), ..env.clone() };
    let mut drafts = submit(&schedule.submit, schedule.added.owner, &[work], &from, &env)?;
    drafts.pop().map(Draft::by_host).ok_or_else(|| Problem::internal("a submit without a work"))
}

fn ticked(schedule: &ScheduleFacts, tick: WallMs, missed: u64, outcome: TickOutcome, next: Option<WallMs>) -> Draft {
    let ticked = ScheduleTicked { tick, missed, outcome, next };
    Draft::new(schedule.subject(), ticked).by_host().on_behalf_of(schedule.added.owner)
}
