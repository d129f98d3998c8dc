//! A start that the launcher's service did not answer, because it died, was started anew, hangs or is not there. That is no
//! refusal: the step may have begun. What its record and its unit say decides; where neither is there, it is asked for again.
//!
//! No step begins twice by that: it is asked for again only once systemd has no unit of it, and whoever is late finds the
//! record made, which is made once.

use agentd_schemas::launch::UnitState;
use agentd_schemas::problem::Problem;
use tokio::task::JoinHandle;

use super::conclusion::Fault;
use super::orders::Orders;
use super::step::{StepEnd, Steps, Watched};
use crate::runner::{self, Look, Silence, Step};

/// A run whose program did not begin is given back when the launcher did not start its step for so long.
const AWAY_PATIENCE_MS: u64 = 30_000;
/// Whoever hung may still do what it was asked for, so long after it answers again: its own patience is shorter.
const SETTLED_MS: u64 = 60_000;
/// A unit whose step is not seen to begin for so long hangs.
const HANGS_MS: u64 = 60_000;
/// Until people are told that the launcher does not answer.
const TOLD_MS: u64 = 3_000;
/// Between two questions, at first and at most.
const ASK_MS: (u64, u64) = (50, 2_000);

/// What is done about a start that nobody answered.
pub(super) struct Unanswered {
    since: u64,
    /// Whoever was asked may do it yet, until so long after it answers again.
    is_late: bool,
    answers_since: Option<u64>,
    question: Option<JoinHandle<std::io::Result<Option<UnitState>>>>,
    ask_at: u64,
    pause: u64,
    is_told: bool,
}

impl Unanswered {
    fn new(now: u64, silence: &Silence) -> Self {
        Self {
            since: now,
            is_late: silence.is_late,
            answers_since: None,
            question: None,
            ask_at: now,
            pause: ASK_MS.0,
            is_told: false,
        }
    }

    fn later(&mut self, now: u64) {
        self.ask_at = now + self.pause;
        self.pause = (self.pause * 2).min(ASK_MS.1);
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(question) = &self.question {
            question.abort();
        }
    }
}

/// What a unit says of a start.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It may begin yet.
    Begins,
    /// It did not, for this reason.
    Failed(String),
    /// There is none any more.
    Gone,
}

fn fate(unit: Option<&UnitState>) -> Fate {
    let Some(unit) = unit else { return Fate::Gone };
    match unit.active.as_str() {
        "inactive" => Fate::Gone,
        "failed" => Fate::Failed(runner::how_it_failed(unit).unwrap_or_else(|| format!("{} failed", unit.name))),
        _ => Fate::Begins,
    }
}

/// Whether a run can be given back where this step does not begin: nothing of its program has.
pub(super) const fn is_before_the_program(step: Step) -> bool {
    matches!(step, Step::Prepare | Step::Setup | Step::Program(0 | 1))
}

impl Steps<'_> {
    /// Goes on with a start that nobody answered, by one step. What the record says was looked at before; a step that began
    /// after all is watched on.
    pub(super) async fn unanswered(&self, watched: &mut Watched, silence: Silence) -> Result<Option<StepEnd>, Problem> {
        let now = self.engine.0.clock.boot_ms();
        let step = watched.step;
        let state = watched.unanswered.get_or_insert_with(|| Unanswered::new(now, &silence));
        state.is_late |= silence.is_late;
        let orders = self.orders(step, watched.since)?;
        if matches!(orders, Orders::End(_)) {
            let over = self.forestall(step)?.then_some(StepEnd::Over(None));
            if over.is_some() {
                watched.kill();
            }
            return Ok(over);
        }
        let waited = now.saturating_sub(state.since);
        if is_before_the_program(step) && waited > AWAY_PATIENCE_MS {
            let away = self
                .forestall(step)?
                .then(|| StepEnd::Away(Fault { because: "launcher_away", reason: silence.reason.clone() }));
            if away.is_some() {
                self.tell_away(&silence.reason);
                watched.kill();
            }
            return Ok(away);
        }
        if waited > TOLD_MS && !std::mem::replace(&mut state.is_told, true) {
            tracing::warn!(run = %self.folder.run(), "whether step {step} of the run began is asked: {}", silence.reason);
        }
        match state.question.take() {
            // Nothing begins while the run is to stand still.
            None if now < state.ask_at || orders == Orders::StandStill => {}
            None => {
                let (host, folder) = (self.host.clone(), self.folder.clone());
                state.question = Some(tokio::task::spawn_blocking(move || runner::unit(&host, &folder, step)));
            }
            Some(asked) if !asked.is_finished() => state.question = Some(asked),
            Some(asked) => {
                let unit = asked.await.map_err(Problem::internal)?;
                state.later(now);
                return self.answered(watched, unit, now).await;
            }
        }
        Ok(None)
    }

    async fn answered(
        &self,
        watched: &mut Watched,
        unit: std::io::Result<Option<UnitState>>,
        now: u64,
    ) -> Result<Option<StepEnd>, Problem> {
        let step = watched.step;
        let Some(state) = &mut watched.unanswered else { return Ok(None) };
        let unit = match unit {
            Ok(unit) => unit,
            Err(error) => {
                state.answers_since = None;
                if now.saturating_sub(state.since) > TOLD_MS {
                    self.tell_away(&error.to_string());
                }
                return Ok(None);
            }
        };
        let answers_since = *state.answers_since.get_or_insert(now);
        match fate(unit.as_ref()) {
            Fate::Begins if now.saturating_sub(watched.asked) > HANGS_MS => {
                let forestalled = self.forestall(step)?;
                watched.kill();
                Ok(forestalled.then(|| StepEnd::Refused("its unit hangs, and was ended".to_owned())))
            }
            Fate::Begins => Ok(None),
            Fate::Failed(reason) => Ok(self.forestall(step)?.then_some(StepEnd::Refused(reason))),
            Fate::Gone if state.is_late && now.saturating_sub(answers_since) < SETTLED_MS => Ok(None),
            // It may have begun, and ended, since the record was looked at.
            Fate::Gone if !matches!(self.look(step).await?, Look::Absent | Look::Starting) => Ok(None),
            Fate::Gone => {
                runner::put_record_aside(self.folder, step).map_err(Problem::internal)?;
                tracing::info!(run = %self.folder.run(), "step {step} of the run did not begin, and is asked for again");
                state.is_late = false;
                watched.asked = now;
                if let Some(launched) = &watched.launched {
                    launched.ask_again();
                }
                Ok(None)
            }
        }
    }

    fn tell_away(&self, reason: &str) {
        if let Some(supervisor) = &self.engine.0.supervisor {
            supervisor.launcher_is_away(&reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(active: &str, result: &str, status: i32) -> UnitState {
        let (active, result) = (active.to_owned(), result.to_owned());
        UnitState { name: "agentd-run-x.service".to_owned(), active, result, status, cpu_ns: None, memory_peak: None }
    }

    #[test]
    fn only_a_start_whose_unit_is_gone_is_asked_for_again() {
        assert_eq!(fate(None), Fate::Gone);
        assert_eq!(fate(Some(&unit("inactive", "success", 0))), Fate::Gone);
        for active in ["active", "activating", "deactivating", "reloading"] {
            assert_eq!(fate(Some(&unit(active, "success", 0))), Fate::Begins, "{active}");
        }
        let failed = "systemd says of agentd-run-x.service: exit code 226".to_owned();
        assert_eq!(fate(Some(&unit("failed", "exit-code", 226))), Fate::Failed(failed));
    }

    #[test]
    fn a_run_whose_program_may_have_begun_is_not_given_back() {
        let given = [Step::Prepare, Step::Setup, Step::Program(1)];
        let kept = [Step::Base(0), Step::Program(2), Step::Collect, Step::Check(0), Step::Seal];
        assert!(given.into_iter().all(is_before_the_program));
        assert!(!kept.into_iter().any(is_before_the_program));
    }
}
