//! What time triggers: leases and timeouts and backoffs on boot time; not-before, deadlines, service levels and
//! schedules on wall time; and what the outbox still demands. Everything becomes a command, like anybody's.

use std::sync::atomic::Ordering;
use std::time::Duration;

use agentd_schemas::document::request::Scope;
use agentd_schemas::event::{ServiceLevelKind, WaitReason};
use agentd_schemas::id::{ID_BYTES, ScheduleId, WorkId};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::duration::in_words;
use rusqlite::{Connection, params};
use tokio::sync::watch;

use super::Engine;
use super::denials::tell;
use super::live::RanOut;
use super::message_ids;
use super::pace::{LONGEST_MS, Pace};
use crate::domain::Command;
use crate::ledger::load::{self, Loaded};
use crate::policy::Caller;
use crate::sys::clock::{Discontinuity, JumpDetector, Moment, WALL_JUMP_LIMIT_MS};
use crate::sys::failpoint;

/// Commands of one look, at most; the next look follows at once.
const MAX_DUE: i64 = 256;
/// How often runs that wait for budget are looked at again, where no limit was raised.
const BUDGET_MS: u64 = 30_000;

/// Runs until told to stop.
pub(super) async fn run(engine: Engine, mut stopped: watch::Receiver<bool>) {
    let clock = engine.0.clock;
    let mut detector = JumpDetector::new(clock.moment(), clock.suspended_ms(), WALL_JUMP_LIMIT_MS);
    let mut looking = Looking::default();
    let mut pace = Pace::default();
    while !*stopped.borrow() {
        failpoint::hit("timers.round");
        let longest = engine.timers_came_round();
        let moment = clock.moment();
        engine.0.meters.beat(moment.wall_ms);
        notice_clock(&engine, &mut detector, moment).await;
        let (due, next) = looking.due(&engine, moment);
        let any = !due.is_empty();
        let changed = fire(&engine, due).await;
        record_denials(&engine, moment.boot_ms).await;
        let next = next.map_or(LONGEST_MS, |next| next.saturating_sub(moment.boot_ms));
        let pause = pace.pause(any, changed, next).min(longest);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(pause)) => {}
            () = engine.0.timer.notified() => {}
            _ = stopped.changed() => {}
        }
    }
    record_denials(&engine, u64::MAX).await;
}

/// Sleep expires nothing; a jump of the wall clock holds what wall time triggers.
async fn notice_clock(engine: &Engine, detector: &mut JumpDetector, moment: Moment) {
    for discontinuity in detector.observe(moment, engine.0.clock.suspended_ms()) {
        match discontinuity {
            Discontinuity::Suspended { by_ms } => {
                tracing::info!("the machine slept for {}: leases begin anew", in_words(by_ms));
                engine.0.live.forgive(by_ms);
                engine.0.live.renew_all(moment.boot_ms);
            }
            Discontinuity::WallJump { by_ms } => {
                tracing::error!(
                    MESSAGE_ID = message_ids::CLOCK_JUMPED,
                    "the wall clock jumped {} by {}: schedules and deadlines are held; agentctl clock accept --reason '…'",
                    if by_ms < 0 { "back" } else { "ahead" },
                    in_words(by_ms.unsigned_abs()),
                );
                execute(engine, Command::NoticeClock { by_ms }).await;
            }
        }
    }
}

/// What one look remembers for the next.
#[derive(Default)]
struct Looking {
    /// When runs that wait for budget are looked at again, on boot time.
    budget_at: u64,
    /// The tables could not be read the last time, and it was said.
    unread: bool,
}

impl Looking {
    /// What is due, and the boot time of the next thing that will be.
    fn due(&mut self, engine: &Engine, moment: Moment) -> (Vec<Command>, Option<u64>) {
        let now = moment.boot_ms;
        let (mut commands, mut next) = in_memory(engine, now);
        if engine.0.limits_changed.swap(false, Ordering::Relaxed) || now >= self.budget_at {
            self.budget_at = now + BUDGET_MS;
            let waiting = engine.0.live.all().into_iter();
            let waiting = waiting.filter(|run| matches!(run.waiting, Some(WaitReason::Budget { .. })));
            commands.extend(waiting.map(|run| Command::ResumeBudget { work: run.run.work }));
        }
        match in_tables(engine, moment) {
            Ok((more, soonest)) => {
                self.unread = false;
                commands.extend(more);
                next = [next, soonest].into_iter().flatten().min();
            }
            Err(problem) if self.unread => tracing::debug!("timers cannot be read: {problem}"),
            Err(problem) => {
                self.unread = true;
                tracing::error!("timers cannot be read: {problem}");
            }
        }
        (commands, next)
    }
}

/// Leases and timeouts.
fn in_memory(engine: &Engine, now: u64) -> (Vec<Command>, Option<u64>) {
    freeze(engine, now);
    let (ran_out, next) = engine.0.live.ran_out(now, usize::try_from(MAX_DUE).unwrap_or(64));
    let commands = ran_out.into_iter().map(|each| match each {
        RanOut::Lease(run) => Command::ExpireLease { run },
        RanOut::Timeout(run) => Command::TimeOutRun { run },
    });
    (commands.collect(), next)
}

/// What the ledger's tables say.
fn in_tables(engine: &Engine, moment: Moment) -> Result<(Vec<Command>, Option<u64>), Problem> {
    let boot = engine.0.boot.to_string();
    let held = engine.0.clock_held.load(Ordering::Relaxed);
    engine.0.readers.with(|conn| look(conn, &boot, moment, held).map_err(Problem::internal))
}

/// What is due by the tables, and the boot time of the next thing that will be.
pub(super) fn look(conn: &Connection, boot: &str, moment: Moment, held: bool) -> Loaded<(Vec<Command>, Option<u64>)> {
    let mut commands = backoffs(conn, boot, moment.boot_ms)?;
    commands.extend(outbox(conn)?);
    if held {
        return Ok((commands, next_backoff(conn, boot, moment.boot_ms)?));
    }
    commands.extend(wall(conn, moment.wall_ms)?);
    let mut next = [next_backoff(conn, boot, moment.boot_ms)?, next_timer(conn, moment)?, None];
    // Ticks of a frozen host are due, and nothing comes of them before the thaw.
    if !load::host::frozen(conn)?.contains(&Scope::All) {
        commands.extend(schedules(conn, moment.wall_ms)?);
        next[2] = next_tick(conn, moment)?;
    }
    Ok((commands, next.into_iter().flatten().min()))
}

/// Running time of frozen runs does not count.
fn freeze(engine: &Engine, now: u64) {
    let frozen = engine.0.readers.with(|conn| load::host::frozen(conn).map_err(Problem::internal));
    if let Ok(frozen) = frozen {
        engine.0.live.freeze(now, |run| super::operations::host::is_frozen(&frozen, run));
    }
}

fn work_id(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<WorkId> {
    row.get::<_, [u8; ID_BYTES]>(column).map(WorkId::from_bytes)
}

fn backoffs(conn: &Connection, boot: &str, now: u64) -> rusqlite::Result<Vec<Command>> {
    // A backoff of another boot is over: its clock is gone.
    let sql =
        "SELECT w.id FROM backoffs b JOIN works w ON w.key = b.work WHERE b.boot <> ?1 OR b.due_boot_ms <= ?2 LIMIT ?3";
    let mut statement = conn.prepare_cached(sql)?;
    let rows =
        statement.query_map(params![boot, now, MAX_DUE], |row| Ok(Command::WakeWork { work: work_id(row, 0)? }))?;
    rows.collect()
}

fn outbox(conn: &Connection) -> rusqlite::Result<Vec<Command>> {
    let mut statement = conn.prepare_cached("SELECT effect FROM outbox WHERE kind = 'cascade' LIMIT ?1")?;
    let rows = statement.query_map([MAX_DUE], |row| Ok(Command::Cascade { effect: row.get(0)? }))?;
    rows.collect()
}

fn wall(conn: &Connection, now: i64) -> rusqlite::Result<Vec<Command>> {
    let sql =
        "SELECT t.kind, w.id FROM timers t JOIN works w ON w.key = t.work WHERE t.due <= ?1 ORDER BY t.due LIMIT ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![now, MAX_DUE], |row| {
        let work = work_id(row, 1)?;
        Ok(match row.get::<_, i64>(0)? {
            0 => Command::WakeWork { work },
            1 => Command::PassDeadline { work },
            2 => Command::BreachLevel { work, level: ServiceLevelKind::Start },
            _ => Command::BreachLevel { work, level: ServiceLevelKind::Finish },
        })
    })?;
    rows.collect()
}

fn schedules(conn: &Connection, now: i64) -> rusqlite::Result<Vec<Command>> {
    let sql = "SELECT id FROM schedules WHERE state = 0 AND next <= ?1 ORDER BY next LIMIT ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![now, MAX_DUE], |row| {
        let schedule = ScheduleId::from_bytes(row.get(0)?);
        Ok(Command::TickSchedule { schedule })
    })?;
    rows.collect()
}

/// Boot time of the next backoff that ends.
fn next_backoff(conn: &Connection, boot: &str, now: u64) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT min(due_boot_ms) FROM backoffs WHERE boot = ?1 AND due_boot_ms > ?2";
    conn.prepare_cached(sql)?.query_row(params![boot, now], |row| row.get(0))
}

/// Boot time of the next timer of a work. What is due already is not the next thing, whatever comes of it.
fn next_timer(conn: &Connection, moment: Moment) -> rusqlite::Result<Option<u64>> {
    on_boot_time(conn, "SELECT min(due) FROM timers WHERE due > ?1", moment)
}

/// Boot time of the next tick of a schedule.
fn next_tick(conn: &Connection, moment: Moment) -> rusqlite::Result<Option<u64>> {
    on_boot_time(conn, "SELECT min(next) FROM schedules WHERE state = 0 AND next > ?1", moment)
}

fn on_boot_time(conn: &Connection, sql: &str, moment: Moment) -> rusqlite::Result<Option<u64>> {
    let due: Option<i64> = conn.prepare_cached(sql)?.query_row([moment.wall_ms], |row| row.get(0))?;
    Ok(due.map(|due| moment.boot_ms.saturating_add(due.abs_diff(moment.wall_ms))))
}

/// Runs what is due, all at once, so that it shares commits. Whether anything changed.
async fn fire(engine: &Engine, due: Vec<Command>) -> bool {
    let fired = due.into_iter().map(|command| fire_one(engine, command));
    futures_util::future::join_all(fired).await.into_iter().any(|changed| changed)
}

async fn fire_one(engine: &Engine, command: Command) -> bool {
    let expires = if let Command::ExpireLease { run } = &command { Some(*run) } else { None };
    let changed = execute(engine, command).await;
    if let Some(run) = expires.filter(|_| !changed) {
        engine.0.live.spare(&run);
    }
    changed
}

async fn execute(engine: &Engine, command: Command) -> bool {
    match engine.execute(&Caller::host(), command, None).await {
        Ok(done) => !done.events.is_empty(),
        Err(problem) => {
            tracing::debug!("a timer's command was refused: {problem}");
            false
        }
    }
}

async fn record_denials(engine: &Engine, now: u64) {
    let mut taken = engine.0.denials.take(now).into_iter();
    while let Some((caller, command)) = taken.next() {
        // The record is the daemon's own doing; who was refused stands in it as the actor.
        match engine.record(&caller, command.clone()).await {
            Ok(()) => engine.0.denials.written(),
            // The ledger takes nothing at the moment, this nor the rest.
            Err(problem) if matches!(problem.code, Code::DiskFull | Code::ReadOnly | Code::Stopping) => {
                engine.0.denials.put_back(std::iter::once((caller, command)).chain(taken).collect());
                return;
            }
            Err(problem) => {
                tracing::error!("a refusal could not be recorded: {problem}");
                tell(&caller, &command);
            }
        }
    }
}
