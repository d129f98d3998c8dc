//! Runs that nobody takes any further: what of them still lives is ended and waited for, and what it used is told.

use std::time::Duration;

use agentd_schemas::event::FailureReason;
use agentd_schemas::launch::{Outcome, StopCause};
use agentd_schemas::problem::Problem;

use super::course::{Course, blocking};
use super::finish::{Left, Tally};
use super::step::{look, seconds};
use crate::engine::Engine;
use crate::runner::{self, Folder, Look, Step, garbage};

/// Between two looks at a step that ends.
const LOOK: Duration = Duration::from_millis(20);
/// A step of which nothing is seen for so long does not begin any more.
const BEGINNING_MS: u64 = 5_000;
/// A step that did not end for so long is left to its shim.
const PATIENCE_MS: u64 = 60_000;

/// Whether any step of a run lives, or may be about to.
pub(super) fn lives(folder: &Folder) -> bool {
    let live = |step: &Step| matches!(runner::look(folder, *step), Ok(Look::Running(_) | Look::Starting));
    garbage::steps(folder).iter().any(live)
}

/// Whether the program of a run began, once at least.
pub(super) fn began(folder: &Folder) -> bool {
    let starts = garbage::steps(folder).into_iter().filter(|step| matches!(step, Step::Program(_)));
    starts.into_iter().any(|step| runner::started(folder, step).is_some())
}

async fn stop(folder: &Folder, step: Step, cause: StopCause) -> std::io::Result<String> {
    let folder = folder.clone();
    let told = blocking(move || runner::control(&folder, step, &format!("stop {}", cause.as_str()))).await;
    told.unwrap_or_else(|problem| Err(std::io::Error::other(problem.to_string())))
}

impl Course {
    /// Ends a run that cannot go on, for a reason of the host's. What it began before, perhaps under another daemon, does
    /// not run on unwatched: it ends first.
    pub(super) async fn abandon(&self, problem: &Problem) {
        let folder = self.folder();
        self.clear_away(&folder, StopCause::LeaseLost).await;
        let of_run = folder.clone();
        let began = blocking(move || began(&of_run)).await.unwrap_or(true);
        let (reason, message) = if began {
            (FailureReason::OutcomeUnknown, format!("its program ran, and the run could not go on: {problem}"))
        } else {
            (FailureReason::NotStarted, problem.to_string())
        };
        self.give_up(reason, message).await;
    }

    /// Ends what is left of a run, tells what its program used, and removes its control groups.
    pub(super) async fn clear_away(&self, folder: &Folder, cause: StopCause) {
        let steps = garbage::steps(folder);
        if steps.is_empty() {
            return;
        }
        let mut tally = Tally::default();
        for step in steps {
            let Some(outcome) = self.end_step(folder, step, cause).await else { continue };
            match step {
                Step::Program(_) => tally.program(step, &outcome),
                _ => tally.count(&outcome),
            }
        }
        self.end_program(folder, tally, Left::MayGo).await;
        let (host, run) = (self.supervisor.runs.host.clone(), folder.run());
        match blocking(move || garbage::remove_groups(&host, run)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%run, "the control groups of the run could not be removed: {error}"),
            Err(problem) => tracing::warn!(%run, "the control groups of the run could not be removed: {problem}"),
        }
    }

    /// Ends one step, and waits for what its shim writes; none where nobody saw an end.
    async fn end_step(&self, folder: &Folder, step: Step, cause: StopCause) -> Option<Outcome> {
        let run = folder.run();
        let now = |engine: &Engine| engine.0.clock.boot_ms();
        let (since, mut told) = (now(&self.engine), false);
        loop {
            let waited = now(&self.engine).saturating_sub(since);
            let found = look(&self.supervisor.runs.host, folder, step).await;
            match found.unwrap_or_else(|problem| Err(std::io::Error::other(problem.to_string()))) {
                Ok(Look::Ended(outcome)) => return Some(outcome),
                Ok(Look::Absent | Look::Lost) => return None,
                Ok(Look::Starting) if waited > BEGINNING_MS => {
                    match runner::forestall(folder, step, seconds(self.engine.now())) {
                        Ok(true) => return None,
                        Ok(false) => {}
                        Err(error) => tracing::warn!(%run, "whether step {step} begins is not known: {error}"),
                    }
                }
                Ok(Look::Running(_)) if !told => match stop(folder, step, cause).await {
                    Ok(answer) if answer.starts_with("ok") => told = true,
                    Ok(answer) => tracing::warn!(%run, "the shim of step {step} did not end it: {answer}"),
                    Err(error) => tracing::debug!(%run, "step {step} was not reached: {error}"),
                },
                Ok(Look::Starting | Look::Running(_)) => {}
                Err(error) => {
                    tracing::error!(%run, "the record of step {step} cannot be read: {error}");
                    return None;
                }
            }
            if waited > PATIENCE_MS {
                tracing::error!(%run, "step {step} does not end");
                return None;
            }
            let _ = self.engine.0.live.heartbeat(&self.run, now(&self.engine), self.engine.now(), None, false);
            tokio::time::sleep(LOOK).await;
        }
    }
}
