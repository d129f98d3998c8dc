//! What people and rules want of a run, and how its living steps hear it: a freeze, a thaw, an end.

use std::sync::atomic::Ordering;

use agentd_schemas::event::{FailureReason, WorkState};
use agentd_schemas::launch::StopCause;
use agentd_schemas::problem::Problem;

use super::course::blocking;
use super::step::{Steps, Watched};
use crate::engine::operations::host::is_frozen;
use crate::ledger::load;
use crate::runner::{self, Step};

/// A program that waits for a person or a limit goes on for so long, to end by itself; then it stands still.
const WAIT_MS: u64 = 10_000;
/// Until a shim that did not do as it was told is told again.
const AGAIN_MS: u64 = 2_000;

/// What people and rules want of a run now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orders {
    GoOn,
    /// It waits for a person or a limit: its time stands still now, and all of it in so many milliseconds.
    Wait(u64),
    StandStill,
    End(StopCause),
}

/// What a shim answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Done,
    Refused,
    Nothing,
}

impl Steps<'_> {
    /// What is wanted of a step. A run that is not ours any more ends, whatever the reason.
    pub(super) fn orders(&self, step: Step, since: u64) -> Result<Orders, Problem> {
        let Some(live) = self.engine.0.live.get(self.run.work).filter(|live| live.run == self.run) else {
            return Ok(Orders::End(self.why_over()?));
        };
        if matches!(step, Step::Base(_)) && self.beside_ends.load(Ordering::Relaxed) {
            return Ok(Orders::End(StopCause::NotNeeded));
        }
        let frozen = self.engine.0.readers.with(|conn| load::host::frozen(conn).map_err(Problem::internal))?;
        let waited = live.waiting.is_some().then(|| {
            let now = self.engine.0.clock.boot_ms();
            now.saturating_sub(live.paused_since.unwrap_or(since))
        });
        Ok(match waited {
            _ if is_frozen(&frozen, &live) => Orders::StandStill,
            Some(waited) if waited >= WAIT_MS => Orders::StandStill,
            Some(waited) => Orders::Wait(WAIT_MS - waited),
            None => Orders::GoOn,
        })
    }

    /// What goes on beside the course is not needed any more.
    pub(super) fn end_beside(&self) {
        self.beside_ends.store(true, Ordering::Relaxed);
        self.place.tell();
    }

    fn why_over(&self) -> Result<StopCause, Problem> {
        let (state, end) = self.engine.0.readers.with(|conn| {
            let end = load::programs::end_of(conn, &self.run).map_err(Problem::internal)?;
            let work = load::works::work(conn, self.run.work, false).map_err(Problem::internal)?;
            Ok::<_, Problem>((work.map(|work| work.state), end))
        })?;
        Ok(match (state, end) {
            (_, Some(FailureReason::TimedOut)) => StopCause::Timeout,
            (Some(WorkState::Cancelled), _) => StopCause::Cancelled,
            _ => StopCause::LeaseLost,
        })
    }

    /// Tells a running step what is wanted of it, as far as it does not do that already. When it is to be told more, in
    /// milliseconds, where nobody says so.
    pub(super) async fn follow_orders(&self, watched: &mut Watched) -> Result<Option<u64>, Problem> {
        let step = watched.step;
        let mut orders = self.orders(step, watched.since)?;
        if orders != Orders::StandStill && watched.still != Some(false) {
            // Whoever freezes the run after this look hears that the step goes on, and waits for it.
            self.living.is_still(step, false);
            orders = self.orders(step, watched.since)?;
        }
        let done = match orders {
            Orders::End(_) if watched.stopping => true,
            Orders::End(cause) => {
                watched.stopping = self.tell(step, format!("stop {}", cause.as_str())).await? == Said::Done;
                watched.stopping
            }
            Orders::StandStill => self.make(step, &mut watched.still, true, "freeze").await?,
            // Before all of it stands still: the shim's clock and the ledger's are one to who is told of a timeout.
            Orders::Wait(_) if matches!(step, Step::Program(_)) => {
                let paused = self.make(step, &mut watched.paused, true, "pause").await?;
                self.make(step, &mut watched.still, false, "thaw").await? && paused
            }
            Orders::GoOn if matches!(step, Step::Program(_)) => {
                let resumed = self.make(step, &mut watched.paused, false, "resume").await?;
                self.make(step, &mut watched.still, false, "thaw").await? && resumed
            }
            Orders::GoOn | Orders::Wait(_) => self.make(step, &mut watched.still, false, "thaw").await?,
        };
        Ok(match orders {
            _ if !done => Some(AGAIN_MS),
            Orders::Wait(left) => Some(left),
            _ => None,
        })
    }

    /// Makes a step be as it should, by a request, unless it is known to be. Whether it is now.
    async fn make(
        &self,
        step: Step,
        known: &mut Option<bool>,
        wanted: bool,
        request: &'static str,
    ) -> Result<bool, Problem> {
        if *known != Some(wanted) {
            match self.tell(step, request.to_owned()).await? {
                Said::Done => *known = Some(wanted),
                Said::Refused => {}
                // Its answer may be late, and what it does then is not what was known of it.
                Said::Nothing => *known = None,
            }
        }
        Ok(*known == Some(wanted))
    }

    /// Tells the shim of a step, which may be slow to answer: no thread that serves waits for it.
    async fn tell(&self, step: Step, request: String) -> Result<Said, Problem> {
        let (run, folder, line) = (self.folder.run(), self.folder.clone(), request.clone());
        Ok(match blocking(move || runner::control(&folder, step, &line)).await? {
            Ok(answer) if answer.starts_with("ok") => Said::Done,
            Ok(answer) if !answer.is_empty() => {
                tracing::warn!(%run, "the shim did not {request} step {step} of the run: {answer}");
                Said::Refused
            }
            Ok(_) => {
                tracing::debug!(%run, "{request} was not answered by step {step} of the run");
                Said::Nothing
            }
            Err(error) => {
                tracing::debug!(%run, "{request} did not reach step {step} of the run: {error}");
                Said::Nothing
            }
        })
    }
}
