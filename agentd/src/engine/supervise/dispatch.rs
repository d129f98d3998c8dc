//! Who gets the next run: owners in turn, each with its agents in turn, as long as there is room.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agentd_schemas::http::{Claim, ClaimRequest};
use agentd_schemas::id::WorkId;
use agentd_schemas::problem::Problem;
use agentd_schemas::unit::name::Slug;
use rusqlite::Connection;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::job::Obstacle;
use super::tries::Tries;
use super::{Supervisor, course, level};
use crate::domain::Env;
use crate::engine::heart::Part;
use crate::engine::{Engine, message_ids};
use crate::ledger::load;
use crate::policy::Caller;
use crate::runner;
use crate::sys::failpoint;

/// How often it is looked for work when nothing happens: a disk that has room again tells nobody.
const LOOK: Duration = Duration::from_secs(15);

/// When what runs left behind is cleared up after a start, and how often after that.
const FIRST_CLEARING_MS: u64 = 10 * 60_000;
/// See above.
const CLEARING_MS: u64 = 3_600_000;
/// Works of an agent that wait for the host and that others pass, at most.
const MAX_PASSED: usize = 64;

/// Gives out runs until told to stop. Those under way go on without the daemon.
pub(in crate::engine) async fn run(engine: Engine, mut stopped: watch::Receiver<bool>) {
    let Some(supervisor) = engine.0.supervisor.clone() else { return };
    let mut courses = JoinSet::new();
    // What lives goes on at once; what is to begin waits until it is known what the host can do.
    super::adopt::adopt(&engine, &supervisor, &mut courses);
    find_level(&supervisor, &mut courses);
    let mut turn = 0;
    let mut tries = Tries::new(engine.0.clock.boot_ms());
    let mut clear_at = engine.0.clock.boot_ms() + FIRST_CLEARING_MS;
    while !*stopped.borrow() {
        failpoint::hit("dispatch.round");
        engine.came_round(Part::Dispatch);
        check_disk(&engine);
        if engine.0.clock.boot_ms() >= clear_at {
            clear_at = engine.0.clock.boot_ms() + CLEARING_MS;
            courses.spawn(clear_up(engine.clone()));
        }
        let any = match give_out(&engine, &mut turn, &mut courses).await {
            Ok(any) => any,
            Err(problem) => {
                tracing::warn!("runs cannot be given out at the moment: {problem}");
                false
            }
        };
        while courses.try_join_next().is_some() {}
        if any {
            continue;
        }
        let now = engine.0.clock.boot_ms();
        let needed = supervisor.is_too_weak() || supervisor.is_launcher_back();
        if tries.is_due(needed, now) {
            find_level(&supervisor, &mut courses);
        }
        let pause = if needed { LOOK.min(Duration::from_millis(tries.in_ms(now))) } else { LOOK };
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

/// One round: each owner gets one run at most, so that nobody with many works keeps others waiting. Whether any began.
async fn give_out(engine: &Engine, turn: &mut usize, courses: &mut JoinSet<()>) -> Result<bool, Problem> {
    let Some(supervisor) = &engine.0.supervisor else { return Ok(false) };
    supervisor.look_for_launcher();
    let is_unwritable = supervisor.look_at_folder(engine.0.clock.boot_ms()).is_some();
    if supervisor.is_full() || is_unwritable || supervisor.level().is_none() {
        return Ok(false);
    }
    let agents = engine.agents_with_programs()?;
    supervisor.forget_others(&agents.iter().flat_map(|(_, names)| names).collect::<Vec<_>>());
    let mut any = false;
    for at in 0..agents.len() {
        if supervisor.room() == 0 {
            break;
        }
        let (owner, names) = &agents[(*turn + at) % agents.len()];
        if !supervisor.has_room(*owner) {
            continue;
        }
        for step in 0..names.len() {
            let name = &names[(*turn + step) % names.len()];
            let Some(claim) = engine.claim_for(supervisor, name, *owner).await? else { continue };
            if let Some(place) = supervisor.place(claim.run, *owner) {
                courses.spawn(course::run(engine.clone(), place, name.clone(), *owner, claim));
                any = true;
            }
            break;
        }
    }
    *turn = turn.wrapping_add(1);
    Ok(any)
}

impl Engine {
    /// Agents that may get work, by owner.
    fn agents_with_programs(&self) -> Result<Vec<(u32, Vec<Slug>)>, Problem> {
        self.0.readers.with(|conn| load::programs::startable(conn).map_err(Problem::internal))
    }

    /// Claims for an agent that the daemon starts. A look at what is there comes first: a claim that gets nothing would be
    /// a command all the same, and one whose program this host cannot start would cost the work an attempt.
    async fn claim_for(&self, supervisor: &Supervisor, agent: &Slug, owner: u32) -> Result<Option<Claim>, Problem> {
        let env = self.env()?;
        let found = self.0.readers.with(|conn| first_that_may_begin(supervisor, conn, agent, &env))?;
        supervisor.hold_back(agent, found.obstacle);
        if !found.may_begin {
            return Ok(None);
        }
        let caller = Caller::agent(agent.clone(), owner);
        match self.claim_but(&caller, &ClaimRequest::default(), found.passed).await {
            Ok(claim) => Ok(claim),
            Err(problem) => {
                tracing::debug!("agent {agent} gets no run: {problem}");
                Ok(None)
            }
        }
    }
}

/// What a look for work finds.
#[derive(Default)]
struct Found {
    may_begin: bool,
    /// Works that wait for the host, and that others pass.
    passed: Vec<WorkId>,
    /// Why some wait, or all.
    obstacle: Option<Obstacle>,
}

/// Whether an agent has a work that this host can start its program for. Those that ask for too much let others by, so
/// that nobody who shares the agent waits for them.
fn first_that_may_begin(supervisor: &Supervisor, conn: &Connection, agent: &Slug, env: &Env) -> Result<Found, Problem> {
    let mut found = Found::default();
    while found.passed.len() <= MAX_PASSED {
        let facts = load::works::claim_facts(conn, agent, &found.passed, env).map_err(Problem::internal)?;
        let Some(work) = facts.and_then(|facts| facts.first) else { return Ok(found) };
        if found.passed.is_empty() {
            supervisor.wake_launcher();
            found.obstacle = supervisor.obstacle(conn, agent)?;
            if found.obstacle.is_some() {
                return Ok(found);
            }
        }
        let Some(obstacle) = supervisor.obstacle_of_work(conn, agent, &work)? else {
            found.may_begin = true;
            return Ok(found);
        };
        found.obstacle.get_or_insert(obstacle);
        found.passed.push(work.id);
    }
    Ok(found)
}
