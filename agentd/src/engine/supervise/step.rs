//! One step of a run: started, or found living, and watched to its end. Meanwhile the lease is kept, and what people
//! decided reaches the program: a freeze, a thaw, an end.

use std::fs::File;
use std::io;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use agentd_schemas::launch::{LaunchSpec, Outcome, Started};
use agentd_schemas::problem::Problem;
use agentd_schemas::unit::name::Slug;
use agentd_schemas::unit::time::WallMs;
use tokio::sync::watch;

use super::conclusion::Fault;
use super::course::blocking;
use super::living::Living;
use super::orders::Orders;
use super::places::Place;
use super::room::ROOM_PATIENCE_MS;
use super::unanswered::Unanswered;
use crate::domain::command::RunRef;
use crate::engine::Engine;
use crate::runner::{self, Folder, Host, Launched, Look, Lost, NoSpec, Step};
use crate::sys::exit::Exit;
use crate::sys::failpoint;
use crate::sys::room::Room;

/// While a step begins: how often it is looked at, at first and at most.
const BEGINNING_MS: (u64, u64) = (2, 50);
/// The same where its start was not answered.
const UNANSWERED_MS: u64 = 200;
/// A launcher that was spawned and of whose step nothing is seen for so long is given up.
const PATIENCE_MS: u64 = 60_000;
/// The same for one that another daemon was about to spawn: whoever it spawned has taken the record by then, or died.
const ADOPTED_PATIENCE_MS: u64 = 5_000;
/// Between two looks at a full disk.
const FULL_MS: u64 = 500;
/// How long the process of a step is waited for that is over or was killed.
const REAP: Duration = Duration::from_secs(1);

/// What became of a step.
#[derive(Debug)]
pub(super) enum StepEnd {
    /// It ended; how is in the outcome.
    Ended(Box<Outcome>),
    /// It did not begin, for this reason.
    Refused(String),
    /// It did not begin and never will, through a fault of the host. Nothing of the program's began before it.
    Away(Fault),
    /// Nobody saw its end.
    Lost(Box<Lost>),
    /// The run was over before the step was: it was stopped, and is gone.
    Over(Option<Box<Outcome>>),
}

/// The steps of one run.
pub(super) struct Steps<'a> {
    pub(super) engine: &'a Engine,
    pub(super) host: &'a Host,
    pub(super) folder: &'a Folder,
    pub(super) run: RunRef,
    /// Whose run it is.
    pub(super) agent: Slug,
    pub(super) place: &'a Place,
    pub(super) lease_ms: u64,
    /// What its programs may take of the disk.
    pub(super) most: Room,
    /// Those that are under way; there may be two.
    pub(super) living: Living,
    /// What goes on beside the course is to end: nobody waits for it.
    pub(super) beside_ends: AtomicBool,
}

/// A step that is watched.
pub(super) struct Watched {
    pub(super) step: Step,
    told: watch::Receiver<()>,
    pub(super) launched: Option<Launched>,
    /// Its standard input, until a start is asked for.
    input: Option<File>,
    /// What is done about a start that nobody answered.
    pub(super) unanswered: Option<Unanswered>,
    gone: Option<Exit>,
    began: Option<Started>,
    /// Whether it stands still; unknown of one that another daemon left.
    pub(super) still: Option<bool>,
    /// Whether its running time stands still while it goes on; unknown of one that another daemon left.
    pub(super) paused: Option<bool>,
    pub(super) stopping: bool,
    pub(super) since: u64,
    /// When its start was asked for, for the last time.
    pub(super) asked: u64,
}

impl Steps<'_> {
    /// Runs a step to its end, or goes on with it where it began before. `began` is called once its program runs.
    pub(super) async fn run(
        &self,
        step: Step,
        spec: impl FnOnce() -> Result<LaunchSpec, NoSpec>,
        input: Option<File>,
        mut began: impl FnMut(&Started),
    ) -> Result<StepEnd, Problem> {
        let _alive = self.living.enter(step);
        let now = self.engine.0.clock.boot_ms();
        let mut watched = Watched {
            step,
            told: self.place.listen(),
            launched: None,
            input,
            unanswered: None,
            gone: None,
            began: None,
            still: None,
            paused: None,
            stopping: false,
            since: now,
            asked: now,
        };
        if matches!(self.look(step).await?, Look::Absent) {
            if !self.until_it_may_begin(&mut watched).await? {
                return Ok(StepEnd::Over(None));
            }
            if let Some(end) = self.no_spec(step, spec()).await? {
                return Ok(end);
            }
            let started = runner::start(self.host, self.folder, &self.agent, step, watched.input.take());
            let launched = match started {
                Ok(launched) => launched,
                Err(error) => return Ok(StepEnd::Refused(format!("the launcher cannot be started: {error}"))),
            };
            watched.gone = launched.child().and_then(Exit::of);
            watched.launched = Some(launched);
            (watched.still, watched.paused) = (Some(false), Some(false));
        }
        let end = self.within_its_room(step, self.watch(&mut watched, &mut began)).await;
        watched.reap().await;
        end
    }

    /// Nothing begins while the run is to stand still, or the disk is full. `false` where it is over instead.
    async fn until_it_may_begin(&self, watched: &mut Watched) -> Result<bool, Problem> {
        let mut short = false;
        loop {
            // Whoever freezes the run after this look waits for the step that begins.
            self.living.is_still(watched.step, false);
            match self.orders(watched.step, watched.since)? {
                Orders::End(_) => return Ok(false),
                Orders::GoOn | Orders::Wait(_) => {
                    let waited = self.engine.0.clock.boot_ms().saturating_sub(watched.since);
                    if waited > ROOM_PATIENCE_MS || self.has_room().await? {
                        return Ok(true);
                    }
                    if !std::mem::replace(&mut short, true) {
                        tracing::warn!(run = %self.folder.run(), "step {} of the run waits: the disk is full", watched.step);
                    }
                    self.keep_lease();
                    self.wait(watched, FULL_MS).await;
                }
                Orders::StandStill => {
                    self.living.is_still(watched.step, true);
                    self.keep_lease();
                    self.wait(watched, self.beat_ms()).await;
                }
            }
        }
    }

    /// What became of a step. Where the launcher may have to open a file for it, no thread that serves waits for that.
    pub(super) async fn look(&self, step: Step) -> Result<Look, Problem> {
        look(self.host, self.folder, step).await?.map_err(Problem::internal)
    }

    pub(super) fn forestall(&self, step: Step) -> Result<bool, Problem> {
        runner::forestall(self.folder, step, seconds(self.engine.now())).map_err(Problem::internal)
    }

    async fn watch(&self, watched: &mut Watched, began: &mut impl FnMut(&Started)) -> Result<StepEnd, Problem> {
        let mut pause = BEGINNING_MS.0;
        self.living.is_still(watched.step, false);
        loop {
            match self.look(watched.step).await? {
                Look::Ended(outcome) => {
                    if watched.began.is_none()
                        && let Some(started) = self.started(watched.step).await?
                    {
                        began(&started);
                    }
                    let over = watched.stopping || matches!(self.orders(watched.step, watched.since)?, Orders::End(_));
                    let outcome = Box::new(outcome);
                    return Ok(if over { StepEnd::Over(Some(outcome)) } else { StepEnd::Ended(outcome) });
                }
                Look::Lost if watched.launched.as_mut().is_none_or(Launched::has_ended) => {
                    // Between the look and here it may have written its end.
                    if let Look::Ended(_) = self.look(watched.step).await? {
                        continue;
                    }
                    return Ok(if watched.stopping { StepEnd::Over(None) } else { self.lost(watched).await? });
                }
                Look::Absent | Look::Lost | Look::Starting => {
                    if let Some(end) = self.not_begun(watched).await? {
                        return Ok(end);
                    }
                }
                Look::Running(started) => {
                    if watched.began.is_none() {
                        if watched.gone.is_none() {
                            watched.gone = Exit::of(started.shim);
                        }
                        began(&started);
                        watched.began = Some(started);
                    }
                    let again = self.follow_orders(watched).await?;
                    self.living.is_still(watched.step, watched.still == Some(true) && !watched.stopping);
                    pause = if watched.gone.is_some() { self.beat_ms() } else { BEGINNING_MS.1 };
                    pause = again.map_or(pause, |again| again.min(pause));
                }
            }
            self.keep_lease();
            self.wait(watched, pause).await;
            if watched.began.is_none() {
                pause = (pause * 2).min(if watched.unanswered.is_some() { UNANSWERED_MS } else { BEGINNING_MS.1 });
            }
        }
    }

    /// A step that did not begin yet: what became of it, where it never will. Whoever gives a start up sees to it first
    /// that it does not come later, beside the next attempt; a step that began after all is watched on.
    async fn not_begun(&self, watched: &mut Watched) -> Result<Option<StepEnd>, Problem> {
        let now = self.engine.0.clock.boot_ms();
        if watched.launched.is_none() && now.saturating_sub(watched.since) > ADOPTED_PATIENCE_MS {
            let input = watched.input.take();
            watched.launched = runner::asked_by_another(self.host, self.folder, &self.agent, watched.step, input);
        }
        if let Some(silence) = watched.launched.as_ref().and_then(Launched::silence) {
            return self.unanswered(watched, silence).await;
        }
        if let Some(launched) = &mut watched.launched
            && launched.has_ended()
        {
            return Ok(self.forestall(watched.step)?.then(|| StepEnd::Refused(launched.complaint())));
        }
        let waited = now.saturating_sub(watched.asked);
        let late = waited > PATIENCE_MS || failpoint::check("step.patience").is_err();
        let end = match (self.orders(watched.step, watched.since)?, &watched.launched) {
            (Orders::End(_), _) => StepEnd::Over(None),
            (_, None) if waited > ADOPTED_PATIENCE_MS => {
                StepEnd::Refused("the daemon was killed while it was being started".to_owned())
            }
            (_, Some(_)) if late => {
                StepEnd::Refused(format!("its launcher hangs, and was ended after {} s", PATIENCE_MS / 1000))
            }
            _ => return Ok(None),
        };
        let is_over = matches!(end, StepEnd::Over(_));
        let forestalled = self.forestall(watched.step);
        if !matches!(forestalled, Ok(false)) {
            watched.kill();
        } else if is_over && late {
            // Its shim hangs, and hears nothing.
            watched.stopping = true;
            watched.kill();
        }
        Ok(forestalled?.then_some(end))
    }

    /// What is known of a step whose shim is gone and told nothing.
    async fn lost(&self, watched: &Watched) -> Result<StepEnd, Problem> {
        let (host, folder, step) = (self.host.clone(), self.folder.clone(), watched.step);
        let now = self.engine.now();
        Ok(StepEnd::Lost(Box::new(blocking(move || runner::lost(&host, &folder, step, now)).await?)))
    }

    async fn started(&self, step: Step) -> Result<Option<Started>, Problem> {
        let folder = self.folder.clone();
        blocking(move || runner::started(&folder, step)).await
    }

    fn beat_ms(&self) -> u64 {
        (self.lease_ms / 3).clamp(1000, 20_000)
    }

    /// The daemon is there as long as it is: what it starts needs no other sign of life. The run stands still when all
    /// of it does.
    fn keep_lease(&self) {
        let now = self.engine.0.clock.boot_ms();
        let _ = self.engine.0.live.heartbeat(&self.run, now, self.engine.now(), None, self.living.all_still());
    }

    async fn wait(&self, watched: &mut Watched, ms: u64) {
        let pause = tokio::time::sleep(Duration::from_millis(ms));
        match &watched.gone {
            Some(gone) => tokio::select! {
                () = gone.gone() => tokio::time::sleep(Duration::from_millis(1)).await,
                _ = watched.told.changed() => {}
                () = pause => {}
            },
            None => tokio::select! {
                _ = watched.told.changed() => {}
                () = pause => {}
            },
        }
    }
}

/// Seconds since 1970.
pub(super) fn seconds(now: WallMs) -> u64 {
    u64::try_from(now.as_ms() / 1000).unwrap_or(0)
}

/// What became of a step, asked where it may wait.
pub(super) async fn look(host: &Host, folder: &Folder, step: Step) -> Result<io::Result<Look>, Problem> {
    if host.launcher.is_none() {
        return Ok(runner::look(folder, step));
    }
    let folder = folder.clone();
    blocking(move || runner::look(&folder, step)).await
}

impl Watched {
    /// Ends a launcher, or the shim that it became, which ends what it began with it.
    pub(super) fn kill(&mut self) {
        let step = self.step;
        if let Some(launched) = &mut self.launched {
            launched.kill(move |error| tracing::warn!("the launcher of step {step} cannot be ended: {error}"));
        }
    }

    /// Nothing is left of a child that ended but for who waits for it.
    async fn reap(&mut self) {
        if let Some(launched) = &mut self.launched
            && !launched.has_ended()
            && let Some(gone) = &self.gone
            && tokio::time::timeout(REAP, gone.gone()).await.is_ok()
        {
            let _ = launched.has_ended();
        }
    }
}
