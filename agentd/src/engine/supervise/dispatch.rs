//! Who gets the next run: owners in turn, each with its agents in turn, as long as there is room.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agentd_schemas::http::{Claim, ClaimRequest};
use agentd_schemas::problem::Problem;
use agentd_schemas::unit::name::Slug;
use rusqlite::Connection;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::obstacle::Obstacle;
use super::passed::Seen;
use super::tries::Tries;
use super::turns::Turns;
use super::{Supervisor, course, level, passed};
use crate::domain::Env;
use crate::domain::command::Looked;
use crate::domain::work::WorkFacts;
use crate::engine::heart::Part;
use crate::engine::{Engine, message_ids};
use crate::ledger::load;
use crate::ledger::load::works::FIRST;
use crate::policy::Caller;
use crate::runner;
use crate::sys::failpoint;

/// How often it is looked for work when nothing happens: a disk that has room again tells nobody.
const LOOK: Duration = Duration::from_secs(15);

/// When what runs left behind is cleared up after a start, and how often after that.
const FIRST_CLEARING_MS: u64 = 10 * 60_000;
/// See above.
const CLEARING_MS: u64 = 3_600_000;
/// How often it is tried while the disk has too little room for a run.
const PRESSED_MS: u64 = 60_000;
/// The same, where works were passed and not all were looked at.
const LOOK_ON: Duration = Duration::from_millis(250);
/// Looks and claims for one agent in a round, at most: another one may have taken what was looked at.
const CLAIMS: usize = 3;

/// Gives out runs until told to stop. Those under way go on without the daemon.
pub(in crate::engine) async fn run(engine: Engine, mut stopped: watch::Receiver<bool>) {
    let Some(supervisor) = engine.0.supervisor.clone() else { return };
    let mut courses = JoinSet::new();
    // What lives goes on at once; what is to begin waits until it is known what the host can do.
    super::adopt::adopt(&engine, &supervisor, &mut courses);
    find_level(&supervisor, &mut courses);
    let mut turns = Turns::default();
    let mut tries = Tries::new(engine.0.clock.boot_ms());
    let mut clear_at = engine.0.clock.boot_ms() + FIRST_CLEARING_MS;
    let mut press_at = 0;
    while !*stopped.borrow() {
        failpoint::hit("dispatch.round");
        engine.came_round(Part::Dispatch);
        check_disk(&engine);
        let now = engine.0.clock.boot_ms();
        if now >= clear_at || supervisor.is_full() && now >= press_at {
            (clear_at, press_at) = (now + CLEARING_MS, now + PRESSED_MS);
            courses.spawn(clear_up(engine.clone()));
        }
        let round = give_out(&engine, &mut turns, &mut courses).await.unwrap_or_else(|problem| {
            tracing::warn!("runs cannot be given out at the moment: {problem}");
            Round::default()
        });
        while courses.try_join_next().is_some() {}
        if round.any {
            continue;
        }
        let now = engine.0.clock.boot_ms();
        let needed = supervisor.is_too_weak() || supervisor.is_launcher_back();
        if tries.is_due(needed, now) {
            find_level(&supervisor, &mut courses);
        }
        let pause = if needed { LOOK.min(Duration::from_millis(tries.in_ms(now))) } else { LOOK };
        let pause = if round.more { pause.min(LOOK_ON) } else { pause };
        let pause = supervisor.look_at_folder(now).map_or(pause, |ms| pause.min(Duration::from_millis(ms.max(1))));
        tokio::select! {
            () = supervisor.wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
            _ = stopped.changed() => {}
        }
    }
    // What is under way lives in its shims, and the next daemon finds it.
    courses.abort_all();
}

/// Tries what the host can do, beside everything else.
fn find_level(supervisor: &Arc<Supervisor>, courses: &mut JoinSet<()>) {
    let supervisor = supervisor.clone();
    courses.spawn(async move { level::find_level(&supervisor).await });
}

/// Removes what is over its time.
async fn clear_up(engine: Engine) {
    match engine.clear_up(false).await {
        Ok(cleared) => {
            if !cleared.removed.is_empty() {
                tracing::info!(
                    "{} things that runs left behind were cleared up, {} bytes",
                    cleared.removed.len(),
                    cleared.bytes
                );
            }
            for failed in cleared.failed {
                tracing::warn!("not cleared up: {failed}");
            }
        }
        Err(problem) => tracing::warn!("what runs left behind cannot be cleared up: {problem}"),
    }
}

/// Notices that too little disk is free for a run to begin, and that there is enough again.
fn check_disk(engine: &Engine) {
    let Some(supervisor) = &engine.0.supervisor else { return };
    let least = supervisor.runs.min_free_percent;
    let (runs, host) = (&supervisor.runs, &supervisor.runs.host);
    // Each may be on a disk of its own. One that is not there yet is made on the disk of the state.
    let places = [&runs.state, &host.runs, &host.content, &host.artefacts].into_iter();
    let full =
        places.filter(|place| place.exists() || **place == runs.state).any(|place| match runner::free_share(place) {
            Ok((free, total)) => free.saturating_mul(100) < total.saturating_mul(u64::from(least)),
            Err(error) => {
                tracing::warn!("whether the disk of {} has room is not known: {error}", place.display());
                true
            }
        });
    if supervisor.full.swap(full, Ordering::Relaxed) != full && full {
        let message_id = message_ids::DISK_LOW;
        tracing::warn!(
            MESSAGE_ID = message_id,
            "less than {least} % of the disk is free: no run begins until there is more"
        );
    }
}

/// What came of one round.
#[derive(Default)]
struct Round {
    /// A run began.
    any: bool,
    /// Works were passed, and more stand behind them.
    more: bool,
}

/// One round: each owner whose turn it is gets one run at most, so that nobody with many works keeps others waiting.
async fn give_out(engine: &Engine, turns: &mut Turns, courses: &mut JoinSet<()>) -> Result<Round, Problem> {
    let mut round = Round::default();
    let Some(supervisor) = &engine.0.supervisor else { return Ok(round) };
    supervisor.look_for_launcher();
    let is_unwritable = supervisor.look_at_folder(engine.0.clock.boot_ms()).is_some();
    if supervisor.is_full() || is_unwritable || supervisor.level().is_none() {
        return Ok(round);
    }
    let agents = engine.agents_with_programs()?;
    supervisor.forget_others(&agents.iter().flat_map(|(_, names)| names).collect::<Vec<_>>());
    for (owner, names) in turns.order(&agents) {
        if supervisor.room() == 0 {
            break;
        }
        if !supervisor.has_room(owner) {
            continue;
        }
        for name in names {
            let Some(claim) = engine.claim_for(supervisor, name, owner, &mut round).await? else { continue };
            if let Some(place) = supervisor.place(claim.run, owner) {
                courses.spawn(course::run(engine.clone(), place, name.clone(), owner, claim));
                turns.given(owner, name);
                round.any = true;
            }
            break;
        }
    }
    Ok(round)
}

impl Engine {
    /// Agents that may get work, by owner.
    fn agents_with_programs(&self) -> Result<Vec<(u32, Vec<Slug>)>, Problem> {
        self.0.readers.with(|conn| load::programs::startable(conn).map_err(Problem::internal))
    }

    /// Claims for an agent that the daemon starts. A look at what is there comes first: a claim that gets nothing would be
    /// a command all the same, and one whose program this host cannot start would cost the work an attempt. So what is
    /// claimed is what was looked at; where it is gone meanwhile, the next one is.
    async fn claim_for(
        &self,
        supervisor: &Supervisor,
        agent: &Slug,
        owner: u32,
        round: &mut Round,
    ) -> Result<Option<Claim>, Problem> {
        let mut before = None;
        for _ in 0..CLAIMS {
            let env = self.env()?;
            let (found, obstacle) = self.0.readers.with(|conn| first_that_may_begin(supervisor, conn, agent, &env))?;
            supervisor.hold_back(agent, obstacle);
            round.more |= matches!(found, Seen::More);
            let Seen::Found(looked) = found else { return Ok(None) };
            // Still there, and not given: it is frozen, or nothing is left to be spent on it.
            if before.replace(looked) == Some(looked) {
                return Ok(None);
            }
            let caller = Caller::agent(agent.clone(), owner);
            match self.claim_looked(&caller, &ClaimRequest::default(), Some(looked)).await {
                Ok(None) => {}
                Ok(claim) => return Ok(claim),
                Err(problem) => {
                    tracing::debug!("agent {agent} gets no run: {problem}");
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }
}

/// Whether an agent has a work that this host can start its program for, and why some wait, or all. Those that ask for too
/// much let others by, so that nobody who shares the agent waits for them.
fn first_that_may_begin(
    supervisor: &Supervisor,
    conn: &Connection,
    agent: &Slug,
    env: &Env,
) -> Result<(Seen<Looked>, Option<Obstacle>), Problem> {
    // Read first: a claim under another one than was looked at gets nothing.
    let Some(program) = load::programs::bound_at(conn, agent).map_err(Problem::internal)? else {
        return Ok((Seen::None, None));
    };
    let next = |behind| load::works::ready_behind(conn, agent, behind, env).map_err(Problem::internal);
    if next(FIRST)?.is_none() {
        return Ok((Seen::None, None));
    }
    supervisor.wake_launcher();
    let mut obstacle = supervisor.obstacle(conn, agent)?;
    if obstacle.is_some() {
        return Ok((Seen::None, obstacle));
    }
    let mut reached = supervisor.reached(agent);
    let stands = |work: &WorkFacts| {
        let of_work = supervisor.obstacle_of_work(conn, agent, work)?;
        let stands = of_work.is_some();
        obstacle = obstacle.take().or(of_work);
        Ok(stands)
    };
    let found = passed::look(&mut reached, next, stands)?;
    supervisor.has_reached(agent, reached);
    Ok((found.map(|work| Looked { work: work.id, program }), obstacle))
}
