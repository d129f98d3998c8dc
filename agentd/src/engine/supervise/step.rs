//! One step of a run: started, or found living, and watched to its end. Meanwhile the lease is kept, and what people
//! decided reaches the program: a freeze, a thaw, an end.

use std::fs::File;
use std::io::Read as _;
use std::process::Child;
use std::time::Duration;

use agentd_schemas::event::FailureReason;
use agentd_schemas::launch::{LaunchSpec, Outcome, Started, StopCause};
use agentd_schemas::problem::Problem;

use super::places::Place;
use crate::domain::command::RunRef;
use crate::engine::Engine;
use crate::engine::operations::host::is_frozen;
use crate::ledger::load;
use crate::runner::{self, Folder, Host, Look, Step};
use crate::sys::exit::Exit;

/// While a step begins: how often it is looked at, at first and at most.
const BEGINNING_MS: (u64, u64) = (2, 50);
/// A step that was spawned and of which nothing is seen for so long is lost.
const PATIENCE_MS: u64 = 60_000;
/// The same for one that another daemon was about to spawn: whoever it spawned has taken the record by then, or died.
const ADOPTED_PATIENCE_MS: u64 = 5_000;
/// A program that waits for a person or a limit goes on for so long, to end by itself; then it stands still.
const WAIT_MS: u64 = 10_000;
/// Bytes of what the launcher says, at most, where it refuses.
const MAX_COMPLAINT: u64 = 4096;

/// What became of a step.
#[derive(Debug)]
pub(super) enum StepEnd {
    /// It ended; how is in the outcome.
    Ended(Box<Outcome>),
    /// It did not begin, for this reason.
    Refused(String),
    /// Nobody saw its end.
    Lost,
    /// The run was over before the step was: it was stopped, and is gone.
    Over(Option<Box<Outcome>>),
}

/// What people and rules want of a run now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Orders {
    GoOn,
    StandStill,
    End(StopCause),
}

/// The steps of one run.
pub(super) struct Steps<'a> {
    pub(super) engine: &'a Engine,
    pub(super) host: &'a Host,
    pub(super) folder: &'a Folder,
    pub(super) run: RunRef,
    pub(super) place: &'a Place,
    pub(super) lease_ms: u64,
    /// What its programs may take of the disk.
    pub(super) most: runner::Room,
}

/// A step that is watched.
struct Watched {
    step: Step,
    child: Option<Child>,
    gone: Option<Exit>,
    began: Option<Started>,
    /// Whether it stands still; unknown of one that another daemon left.
    still: Option<bool>,
    stopping: bool,
    since: u64,
}

impl Steps<'_> {
    /// Runs a step to its end, or goes on with it where it began before. `began` is called once its program runs.
    pub(super) async fn run(
        &self,
        step: Step,
        spec: impl FnOnce() -> Result<LaunchSpec, String>,
        input: Option<File>,
        mut began: impl FnMut(&Started),
    ) -> Result<StepEnd, Problem> {
        let mut watched = Watched {
            step,
            child: None,
            gone: None,
            began: None,
            still: None,
            stopping: false,
            since: self.engine.0.clock.boot_ms(),
        };
        if matches!(self.look(step)?, Look::Absent) {
            if let Orders::End(_) = self.orders(watched.since)? {
                return Ok(StepEnd::Over(None));
            }
            let spec = match spec() {
                Ok(spec) => spec,
                Err(reason) => return Ok(StepEnd::Refused(reason)),
            };
            let started = runner::start(self.host, self.folder, step, &spec, input);
            let child = match started {
                Ok(child) => child,
                Err(error) => return Ok(StepEnd::Refused(format!("the launcher cannot be started: {error}"))),
            };
            watched.gone = Exit::of(child.id());
            watched.child = Some(child);
            watched.still = Some(false);
        }
        let end = self.within_its_room(step, self.watch(&mut watched, &mut began)).await;
        if let Some(child) = &mut watched.child {
            // It has ended, or what it became is another's child by now; either way nothing is waited for.
            let _ = child.try_wait();
        }
        end
    }

    fn look(&self, step: Step) -> Result<Look, Problem> {
        runner::look(self.folder, step).map_err(Problem::internal)
    }

    fn forestall(&self, step: Step) -> Result<bool, Problem> {
        runner::forestall(self.folder, step).map_err(Problem::internal)
    }

    async fn watch(&self, watched: &mut Watched, began: &mut impl FnMut(&Started)) -> Result<StepEnd, Problem> {
        let mut pause = BEGINNING_MS.0;
        loop {
            match self.look(watched.step)? {
                Look::Ended(outcome) => {
                    if watched.began.is_none()
                        && let Some(started) = runner::started(self.folder, watched.step)
                    {
                        began(&started);
                    }
                    let over = watched.stopping || matches!(self.orders(watched.since)?, Orders::End(_));
                    let outcome = Box::new(outcome);
                    return Ok(if over { StepEnd::Over(Some(outcome)) } else { StepEnd::Ended(outcome) });
                }
                Look::Lost if watched.child.as_mut().is_none_or(has_ended) => {
                    // Between the look and here it may have written its end.
                    if let Look::Ended(_) = self.look(watched.step)? {
                        continue;
                    }
                    return Ok(if watched.stopping { StepEnd::Over(None) } else { StepEnd::Lost });
                }
                Look::Absent | Look::Lost | Look::Starting => {
                    if let Some(child) = &mut watched.child
                        && has_ended(child)
                        && self.forestall(watched.step)?
                    {
                        return Ok(StepEnd::Refused(complaint(child)));
                    }
                    let waited = self.engine.0.clock.boot_ms().saturating_sub(watched.since);
                    if watched.child.is_none() && waited > ADOPTED_PATIENCE_MS && self.forestall(watched.step)? {
                        return Ok(StepEnd::Refused("the daemon was killed while it was being started".to_owned()));
                    }
                    if waited > PATIENCE_MS {
                        return Ok(StepEnd::Lost);
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
                    self.follow_orders(watched)?;
                    pause = if watched.gone.is_some() { self.beat_ms() } else { BEGINNING_MS.1 };
                }
            }
            self.keep_lease(watched);
            self.wait(watched, pause).await;
            if watched.began.is_none() {
                pause = (pause * 2).min(BEGINNING_MS.1);
            }
        }
    }

    fn beat_ms(&self) -> u64 {
        (self.lease_ms / 3).clamp(1000, 20_000)
    }

    /// The daemon is there as long as it is: what it starts needs no other sign of life.
    fn keep_lease(&self, watched: &Watched) {
        let now = self.engine.0.clock.boot_ms();
        let _ = self.engine.0.live.heartbeat(&self.run, now, self.engine.now(), None, watched.still == Some(true));
    }

    async fn wait(&self, watched: &Watched, ms: u64) {
        let pause = tokio::time::sleep(Duration::from_millis(ms));
        match &watched.gone {
            Some(gone) => tokio::select! {
                () = gone.gone() => tokio::time::sleep(Duration::from_millis(1)).await,
                () = self.place.told.notified() => {}
                () = pause => {}
            },
            None => tokio::select! {
                () = self.place.told.notified() => {}
                () = pause => {}
            },
        }
    }

    /// What is wanted of the run. One that is not ours any more ends, whatever the reason.
    fn orders(&self, since: u64) -> Result<Orders, Problem> {
        let Some(live) = self.engine.0.live.get(self.run.work).filter(|live| live.run == self.run) else {
            return Ok(Orders::End(self.why_over()?));
        };
        let frozen = self.engine.0.readers.with(|conn| load::host::frozen(conn).map_err(Problem::internal))?;
        let waits = live.waiting.is_some() && {
            let now = self.engine.0.clock.boot_ms();
            now.saturating_sub(live.paused_since.unwrap_or(since)) > WAIT_MS
        };
        Ok(if waits || is_frozen(&frozen, &live) { Orders::StandStill } else { Orders::GoOn })
    }

    fn why_over(&self) -> Result<StopCause, Problem> {
        use agentd_schemas::event::WorkState;
        let work = self.engine.0.readers.with(|conn| {
            let end = load::programs::end_of(conn, &self.run).map_err(Problem::internal)?;
            let work = load::works::work(conn, self.run.work, false).map_err(Problem::internal)?;
            Ok::<_, Problem>((work.map(|work| work.state), end))
        })?;
        Ok(match work {
            (_, Some(FailureReason::TimedOut)) => StopCause::Timeout,
            (Some(WorkState::Cancelled), _) => StopCause::Cancelled,
            _ => StopCause::LeaseLost,
        })
    }

    fn follow_orders(&self, watched: &mut Watched) -> Result<(), Problem> {
        match self.orders(watched.since)? {
            Orders::End(cause) if !watched.stopping => {
                watched.stopping = self.tell(watched.step, &format!("stop {}", cause.as_str()));
            }
            Orders::StandStill if watched.still != Some(true) && self.tell(watched.step, "freeze") => {
                watched.still = Some(true);
            }
            Orders::GoOn if watched.still != Some(false) && self.tell(watched.step, "thaw") => {
                watched.still = Some(false);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the shim did what it was told. One that refuses is told again at the next beat.
    fn tell(&self, step: Step, request: &str) -> bool {
        let run = self.folder.run();
        match runner::control(self.folder, step, request) {
            Ok(answer) if answer.starts_with("ok") => return true,
            Ok(answer) => tracing::warn!(%run, "the shim did not {request} the run: {answer}"),
            Err(error) => tracing::debug!(%run, "{request} did not reach the run: {error}"),
        }
        false
    }
}

fn has_ended(child: &mut Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
}

/// What the launcher said before it gave up.
fn complaint(child: &mut Child) -> String {
    let mut text = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // What was read before an error is what is told.
        let _ = stderr.take(MAX_COMPLAINT).read_to_end(&mut text);
    }
    let text = String::from_utf8_lossy(&text);
    let text = text.trim().trim_start_matches("agentd-launch: error: ");
    match child.try_wait() {
        _ if !text.is_empty() => text.replace('\n', "; "),
        Ok(Some(status)) => format!("the launcher ended without a word: {status}"),
        _ => "the launcher gave up and said nothing".to_owned(),
    }
}
