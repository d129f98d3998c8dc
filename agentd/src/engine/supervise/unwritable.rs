//! The folder of the runs cannot be written: a fault of the host, and no attempt. Works wait, and what was wrong is looked
//! at again until it is not any more.

use std::fmt::Display;
use std::io;
use std::sync::{Arc, PoisonError};

use agentd_schemas::launch::LaunchSpec;
use agentd_schemas::problem::Problem;

use super::Supervisor;
use super::conclusion::Fault;
use super::course::blocking;
use super::step::{StepEnd, Steps};
use super::tries::Tries;
use super::unanswered::is_before_the_program;
use crate::engine::message_ids;
use crate::runner::{self, NoSpec, Step};

/// What is known of it.
pub(super) struct Unwritable {
    reason: String,
    tries: Tries,
    /// It could be written since, and one run tries it.
    is_mended: bool,
    /// Somebody tries it: a disk that hangs keeps one thread, and none that serves.
    is_tried: bool,
}

impl Supervisor {
    /// Whether it is the host's fault that a run could not be laid out: its disk refuses what is written, or takes no folder.
    pub(super) fn is_of_the_host(&self, error: &io::Error) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let of_disk = matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem);
        of_disk || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) || self.try_folder().is_err()
    }

    fn try_folder(&self) -> io::Result<()> {
        runner::try_out(&self.runs.host)
    }

    /// No run begins until the folder could be written; how soon that is tried is `now` on.
    pub(super) fn runs_cannot_be_written(&self, error: &io::Error, now: u64) {
        let reason = format!("the folder of runs, {}, cannot be written: {error}", self.runs.host.runs.display());
        let mut known = self.unwritable.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *known {
            // It was tried again, in vain: the next time is farther away.
            Some(known) => (known.reason, known.is_mended) = (reason, false),
            None => {
                let message_id = message_ids::RUNS_IMPOSSIBLE;
                tracing::warn!(MESSAGE_ID = message_id, "no run can be started: {reason}");
                *known = Some(Unwritable { reason, tries: Tries::new(now), is_mended: false, is_tried: false });
            }
        }
    }

    /// Has the folder tried again when it is time to; who gives out runs hears of it when it can be written. In how many
    /// milliseconds the next time is, while no run begins. Needs a runtime.
    pub(super) fn look_at_folder(self: &Arc<Self>, now: u64) -> Option<u64> {
        let mut known = self.unwritable.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_mut().filter(|known| !known.is_mended)?;
        if !known.is_tried && known.tries.is_due(true, now) {
            known.is_tried = true;
            let supervisor = self.clone();
            tokio::task::spawn_blocking(move || {
                let tried = supervisor.try_folder();
                supervisor.folder_was_tried(tried.is_ok());
            });
        }
        // Who waits for the end of a try is woken by it.
        Some(if known.is_tried { u64::MAX } else { known.tries.in_ms(now) })
    }

    fn folder_was_tried(&self, could: bool) {
        if let Some(known) = &mut *self.unwritable.lock().unwrap_or_else(PoisonError::into_inner) {
            (known.is_tried, known.is_mended) = (false, could);
        }
        self.look_round();
    }

    /// A run was laid out, and the spec of a step was written.
    pub(super) fn runs_can_be_written(&self) {
        if self.unwritable.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("the folder of runs can be written again");
        }
    }

    /// Why no run begins, where that is so, and what helps.
    pub(crate) fn why_unwritable(&self) -> Option<String> {
        let known = self.unwritable.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref().filter(|known| !known.is_mended)?;
        Some(format!(
            "no run begins: {}; make it writable and its disk have room (agentctl gc, df), and works go on by themselves",
            known.reason
        ))
    }
}

impl Steps<'_> {
    /// Writes the spec of a step. What becomes of the step where there is none, or where it cannot be written: before the
    /// program that is no attempt, where the host is to blame.
    pub(super) async fn no_spec(
        &self,
        step: Step,
        spec: Result<LaunchSpec, NoSpec>,
    ) -> Result<Option<StepEnd>, Problem> {
        let Some(supervisor) = self.engine.0.supervisor.clone() else { return Ok(None) };
        let refused = |refused: &dyn Display| Ok(Some(StepEnd::Refused(refused.to_string())));
        let (reason, error) = match spec {
            Ok(spec) => match runner::write_spec(self.folder, step, &spec) {
                Ok(()) => {
                    supervisor.runs_can_be_written();
                    return Ok(None);
                }
                Err(error) => (format!("its launch spec cannot be written: {error}"), error),
            },
            Err(NoSpec::Unwritten(error)) => (format!("program.files cannot be laid out: {error}"), error),
            Err(NoSpec::Refused(reason)) => return refused(&reason),
        };
        if !is_before_the_program(step) {
            return refused(&reason);
        }
        let tries = supervisor.clone();
        let (is_of_the_host, error) = blocking(move || (tries.is_of_the_host(&error), error)).await?;
        if !is_of_the_host {
            return refused(&reason);
        }
        supervisor.runs_cannot_be_written(&error, self.engine.0.clock.boot_ms());
        Ok(Some(StepEnd::Away(Fault { because: "runs_unwritable", reason })))
    }
}
