//! The end of a run: what its program used and wrote, and its result, signed with the agent's key.

use std::time::Duration;

use agentd_schemas::event::{EventData, FailureReason, RunEnded, WorkState};
use agentd_schemas::key::dsse::Envelope;
use agentd_schemas::key::statement::{self, Artefact, Sha256Digest};
use agentd_schemas::launch::{Ending, Outcome, StopCause, Usage};
use agentd_schemas::problem::{Code, Problem};
use sha2::{Digest as _, Sha256};

use super::conclusion::{Conclusion, how, lost_reason, of_the_host, out_of_memory};
use super::course::{Course, blocking};
use super::job::Told;
use super::judged::Made;
use super::step::StepEnd;
use crate::domain::Command;
use crate::domain::command::{Completion, ProgramEnd};
use crate::domain::work::judge::acceptance_digest;
use crate::engine::Done;
use crate::policy::Caller;
use crate::runner::{self, Folder, Lost, Output, Step};

/// Bytes of each output stream that go into the ledger, at most.
const MAX_LEDGER_OUTPUT: usize = 1 << 20;
/// Bytes of what a step wrote that a failure quotes.
const QUOTED: usize = 4096;

/// Between two tries to record an end on a disk that is full.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// What the steps of a run used, and how its program ended.
#[derive(Default)]
pub(super) struct Tally {
    /// Of all steps that ran; none where none did.
    usage: Option<Usage>,
    program: Option<(Step, Outcome)>,
    /// The kernel killed the shim of a step because its unit's memory was used up.
    oom_killed: bool,
}

impl Tally {
    fn add(&mut self, used: Usage) {
        let sum = self.usage.get_or_insert_default();
        sum.wall_ms += used.wall_ms;
        sum.user_us += used.user_us;
        sum.system_us += used.system_us;
        sum.peak_bytes = sum.peak_bytes.max(used.peak_bytes);
        sum.read_bytes += used.read_bytes;
        sum.written_bytes += used.written_bytes;
    }

    /// Counts a start of the program.
    pub(super) fn program(&mut self, step: Step, outcome: &Outcome) {
        self.add(outcome.usage);
        self.program = Some((step, outcome.clone()));
    }

    /// Counts a step around the program, which must have ended with 0. The program is blamed for what it left alone.
    pub(super) fn helper(&mut self, what: &str, folder: &Folder, step: Step, end: StepEnd) -> Result<(), Conclusion> {
        // Before the program began, nothing of it is unknown.
        let unknown = match step {
            Step::Prepare | Step::Setup => FailureReason::NotStarted,
            _ => FailureReason::OutcomeUnknown,
        };
        let (reason, why) = match end {
            StepEnd::Ended(outcome) => {
                self.count(&outcome);
                let reason = match of_the_host(&outcome) {
                    Some(FailureReason::OutcomeUnknown) => unknown,
                    Some(reason) => reason,
                    None if outcome.ending == Ending::Exited(0) && outcome.stopped.is_none() => return Ok(()),
                    None if step == Step::Collect => FailureReason::ProgramFailed,
                    None => FailureReason::NotStarted,
                };
                (reason, format!("{}{}", how(&outcome), quoted(folder, step)))
            }
            StepEnd::Over(outcome) => {
                if let Some(outcome) = outcome {
                    self.count(&outcome);
                }
                return Err(Conclusion::Over);
            }
            StepEnd::Refused(why) => (FailureReason::NotStarted, why),
            StepEnd::Away(fault) => return Err(Conclusion::Away(fault)),
            StepEnd::Lost(lost) => {
                self.lost(&lost);
                let why = lost.why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
                // What the program left took the memory, where it ran.
                let reason = if unknown == FailureReason::NotStarted { unknown } else { lost_reason(lost.oom_killed) };
                (reason, format!("nobody saw how it ended{why}{}", out_of_memory(lost.oom_killed)))
            }
        };
        Err(Conclusion::Failed(reason, format!("{what}: {why}")))
    }

    /// Counts a step that may end with any code.
    pub(super) fn count(&mut self, outcome: &Outcome) {
        self.add(outcome.usage);
    }

    /// Counts a step of which nobody saw the end, as far as its unit is counted.
    pub(super) fn lost(&mut self, lost: &Lost) {
        if let Some(used) = lost.usage {
            self.add(used);
        }
        self.oom_killed |= lost.oom_killed;
    }

    /// Counts what went on beside.
    pub(super) fn merge(&mut self, beside: &Self) {
        if let Some(used) = beside.usage {
            self.add(used);
        }
    }
}

/// The end of what a step wrote, as a paragraph of its own.
pub(super) fn quoted(folder: &Folder, step: Step) -> String {
    let mut text = String::new();
    for stream in [Output::Stdout, Output::Stderr] {
        let bytes = runner::output_end(folder, step, stream, QUOTED).unwrap_or_default();
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    let text: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    if text.trim().is_empty() { String::new() } else { format!("\n{}", text.trim_end()) }
}

/// What is left of a run in its folder, when the word of its end finds no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// More is to be read there.
    Needed,
    /// All that is told of the run is in the command.
    MayGo,
}

impl Course {
    /// Tells the ledger what must not be lost. Nobody else knows of it, so on a full disk it waits until there is room. What
    /// the run itself left on that disk is no reason to wait: it goes first.
    pub(super) async fn record(&self, caller: &Caller, command: Command, left: Left) -> Result<Done, Problem> {
        let mut is_left = left == Left::MayGo;
        loop {
            match self.engine.execute(caller, command.clone(), None).await {
                Err(problem) if problem.code == Code::DiskFull => {
                    tracing::warn!(work = %self.run.work, "a run is told of when there is room: {problem}");
                    if std::mem::take(&mut is_left) {
                        self.remove_folder().await;
                        continue;
                    }
                    let now = self.engine.0.clock.boot_ms();
                    let _ = self.engine.0.live.heartbeat(&self.run, now, self.engine.now(), None, false);
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                done => return done,
            }
        }
    }

    async fn remove_folder(&self) {
        let (host, run) = (self.supervisor.runs.host.clone(), self.folder().run());
        let removed = blocking(move || runner::garbage::remove_run(&host, run)).await;
        match removed.and_then(|removed| removed.map_err(Problem::internal)) {
            Ok(()) => tracing::warn!(%run, "the folder of run {run} was removed, to make room for the word of its end"),
            Err(error) => tracing::warn!(%run, "what run {run} left could not be removed: {error}"),
        }
    }

    /// Ends the attempt without a result.
    pub(super) async fn give_up(&self, reason: FailureReason, message: String) {
        let command = Command::GiveUpRun { run: self.run, reason, message };
        match self.record(&Caller::host(), command, Left::MayGo).await {
            Ok(_) => {}
            Err(problem) if problem.code == Code::StaleFence => {}
            Err(problem) => {
                tracing::error!(work = %self.run.work, "the end of the run could not be recorded: {problem}");
            }
        }
    }

    /// Says that the program ended while the run waits, so that nobody wonders who it is that waits.
    pub(super) async fn exited(&self, start: u32, ending: &Ending, handed_in: bool) {
        let command = Command::ExitProgram { run: self.run, start, ending: ending.clone(), handed_in };
        if let Err(problem) = self.record(&Caller::host(), command, Left::Needed).await {
            let run = self.folder().run();
            tracing::debug!(%run, "that the program of run {run} ended while it waits could not be recorded: {problem}");
        }
    }

    /// Gives the claim back: nothing of the program's began, for nobody started it. No attempt is used up.
    pub(super) async fn give_back(&self, because: &'static str, reason: &str) {
        let work = self.run.work;
        tracing::warn!(%work, "the work waits, and no attempt of it is used up: {reason}");
        let command = Command::VoidLease { run: self.run, because };
        if let Err(problem) = self.record(&Caller::host(), command, Left::Needed).await {
            tracing::error!(%work, "that the run did not begin could not be recorded: {problem}");
        }
    }

    /// Tells the ledger how the run ended.
    pub(super) async fn conclude(
        &self,
        told: &Told,
        folder: &Folder,
        tally: Tally,
        conclusion: Conclusion,
    ) -> Result<(), Problem> {
        let stopped = tally.program.as_ref().and_then(|(_, outcome)| outcome.stopped);
        let took_too_much = matches!(stopped, Some(StopCause::DiskFull | StopCause::OverSize));
        let left = if matches!(conclusion, Conclusion::Made(_)) { Left::Needed } else { Left::MayGo };
        self.end_program(folder, tally, left).await;
        let done = match conclusion {
            Conclusion::Made(made) => match self.hand_in(told, *made).await {
                Ok(state) => matches!(state, WorkState::Completed | WorkState::Verifying),
                Err(problem) if problem.code == Code::StaleFence => false,
                Err(problem) => {
                    self.give_up(FailureReason::NotStarted, format!("its result could not be handed in: {problem}"))
                        .await;
                    false
                }
            },
            Conclusion::Failed(reason, message) => {
                self.give_up(reason, message).await;
                false
            }
            Conclusion::Away(fault) => {
                self.give_back(fault.because, &fault.reason).await;
                // Whoever would remove what is left of it may be away, too.
                return Ok(());
            }
            Conclusion::Over => false,
        };
        let (host, run) = (self.supervisor.runs.host.clone(), told.job.run);
        // Nobody looks for what did not fit, and it keeps others from beginning.
        let removed = blocking(move || {
            if done || took_too_much {
                runner::garbage::remove_run(&host, run)
            } else {
                runner::garbage::remove_groups(&host, run)
            }
        });
        if let Err(error) = removed.await? {
            tracing::warn!(%run, "what is left of the run could not be removed: {error}");
        }
        Ok(())
    }

    /// Says what the run used and what its program wrote. It is said of runs too that are over already, and of those whose
    /// program never began or whose end nobody saw: what their steps used was used.
    pub(super) async fn end_program(&self, folder: &Folder, tally: Tally, left: Left) {
        let Some(usage) = tally.usage else { return };
        let end = match tally.program {
            Some((step, outcome)) => {
                let read = |stream| runner::output(folder, step, stream, 0, MAX_LEDGER_OUTPUT).unwrap_or_default().0;
                let ended = RunEnded {
                    ending: outcome.ending,
                    stopped: outcome.stopped,
                    oom_killed: outcome.oom_killed,
                    usage,
                    stdout_bytes: outcome.stdout.bytes,
                    stderr_bytes: outcome.stderr.bytes,
                };
                ProgramEnd { ended, stdout: read(Output::Stdout), stderr: read(Output::Stderr) }
            }
            None => {
                let ending = match runner::started(folder, Step::Program(1)) {
                    Some(_) => Ending::Lost("nobody saw its end".to_owned()),
                    None => Ending::NotStarted("the run was over before it".to_owned()),
                };
                let ended = RunEnded {
                    ending,
                    stopped: None,
                    oom_killed: tally.oom_killed,
                    usage,
                    stdout_bytes: 0,
                    stderr_bytes: 0,
                };
                ProgramEnd { ended, stdout: Vec::new(), stderr: Vec::new() }
            }
        };
        let command = Command::EndProgram { run: self.run, end: Box::new(end) };
        if let Err(problem) = self.record(&Caller::host(), command, left).await {
            tracing::error!(work = %self.run.work, "what the run used could not be recorded: {problem}");
        }
    }

    /// Hands in what the run made, once the agent's key may sign for it: nothing fails because an owner is late.
    async fn hand_in(&self, told: &Told, made: Made) -> Result<WorkState, Problem> {
        let mut heard = self.place.listen();
        let done = loop {
            let completion = Box::new(self.signed(told, &made)?);
            let command = Command::CompleteWork { run: self.run, completion };
            match self.record(&self.caller(), command, Left::Needed).await {
                Err(problem) if problem.code == Code::Uncertified => self.until_told(&mut heard).await?,
                done => break done?,
            }
        };
        let state = done.events.iter().find_map(|event| match &event.data {
            EventData::WorkCompleted(_) => Some(WorkState::Completed),
            EventData::ResultJudged(_) => Some(WorkState::Verifying),
            _ => None,
        });
        Ok(state.unwrap_or(WorkState::Failed))
    }

    /// What the run made, signed with the agent's key of now.
    fn signed(&self, told: &Told, made: &Made) -> Result<Completion, Problem> {
        let engine = &self.engine;
        let known = engine.known(&self.agent)?.ok_or_else(|| Problem::internal("the agent of the run is gone"))?;
        let key = self.supervisor.keys().load(&self.agent, &known.public_key).map_err(Problem::internal)?;
        let artefact = |name: &str, sha256: Sha256Digest| Artefact { name: name.to_owned(), sha256 };
        let mut artefacts = vec![artefact("result", Sha256Digest(Sha256::digest(made.result.as_bytes()).into()))];
        for each in &made.artefacts {
            artefacts.push(artefact(&each.name, each.sha256.parse().map_err(Problem::internal)?));
        }
        let completion = statement::Completion {
            artefacts,
            origin: engine.host().origin.clone(),
            work: self.run.work.to_string(),
            run: told.job.run.to_string(),
            fence: self.run.fence.n,
            agent: known.agent_id.clone(),
            epoch: u64::from(told.job.claim.epoch),
            acceptance: acceptance_digest(&told.work.spec.acceptance).parse().map_err(Problem::internal)?,
            finished_at: None,
        };
        let payload = completion.to_json().map_err(Problem::internal)?;
        let envelope = Envelope::sign(&key, statement::PAYLOAD_TYPE, &payload).map_err(Problem::internal)?;
        Ok(Completion {
            statement: envelope.to_json().map_err(Problem::internal)?.into_bytes(),
            result: made.result.clone().into_bytes(),
            json: made.json,
            verdicts: made.verdicts.clone(),
            judged_work: told.work.key,
            signed_by: key.public_key().to_string(),
            message: made.message.clone(),
            artefacts: made.artefacts.clone(),
            commit: made.commit.clone(),
            report: made.report.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_the_kernel_killed_for_its_memory_failed_and_one_that_is_just_gone_is_unknown() {
        let step = |step, oom_killed| {
            let (host, run) = (crate::runner::trial_host(), "w-aaaaaaaaaaaaaaaa.1".parse().unwrap());
            let lost = Lost { oom_killed, ..Lost::default() };
            let mut tally = Tally::default();
            match tally.helper("x", &Folder::of(&host, run), step, StepEnd::Lost(Box::new(lost))) {
                Err(Conclusion::Failed(reason, why)) => (reason, why.contains("memory_max"), tally.oom_killed),
                _ => panic!("it failed"),
            }
        };
        assert_eq!(step(Step::Collect, true), (FailureReason::ProgramFailed, true, true));
        assert_eq!(step(Step::Collect, false), (FailureReason::OutcomeUnknown, false, false));
        assert_eq!(step(Step::Prepare, true), (FailureReason::NotStarted, true, true));
    }
}
