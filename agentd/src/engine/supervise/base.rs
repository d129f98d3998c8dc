//! Criteria that are commands, tried on what a run begins with while its program runs: one that succeeds already judges
//! nothing. Nobody waits for it; what is not known when the run is over stays unknown.

use agentd_schemas::launch::StopCause;
use agentd_schemas::problem::Problem;

use super::conclusion::Conclusion;
use super::course::Course;
use super::criteria::exit;
use super::finish::Tally;
use super::job::Told;
use super::step::{StepEnd, Steps};
use crate::domain::Command;
use crate::domain::work::judge::blank_verdicts;
use crate::ledger::load;
use crate::policy::Caller;
use crate::runner::{Context, Step};

impl Course {
    /// Goes through `course`, and tries the criteria beside it. What is not done by the end of the course is ended.
    pub(super) async fn beside_base(
        &self,
        told: &Told,
        steps: &Steps<'_>,
        context: &Context,
        tally: &mut Tally,
        course: impl Future<Output = Result<Conclusion, Problem>>,
    ) -> Result<Conclusion, Problem> {
        let course = async {
            let conclusion = course.await;
            steps.end_beside();
            conclusion
        };
        let (base, conclusion) = tokio::join!(self.judge_base(told, steps, context, tally), course);
        if let Err(problem) = base {
            tracing::warn!(run = %told.job.run, "its criteria could not be tried on what it begins with: {problem}");
        }
        conclusion
    }

    /// Tries the commands on what the run begins with, once for a work.
    async fn judge_base(
        &self,
        told: &Told,
        steps: &Steps<'_>,
        context: &Context,
        tally: &mut Tally,
    ) -> Result<(), Problem> {
        if told.job.claim.attempt > 1 || told.job.commands().next().is_none() {
            return Ok(());
        }
        let work = self.run.work;
        let known =
            self.engine.0.readers.with(|conn| load::programs::is_base_judged(conn, work).map_err(Problem::internal));
        if known? {
            return Ok(());
        }
        let mut verdicts = blank_verdicts(&told.work.spec.acceptance);
        for (place, _) in told.job.commands() {
            let step = Step::Base(place);
            let outcome = match steps.run(step, self.spec(told, step, context), None, |_| {}).await? {
                StepEnd::Ended(outcome) => outcome,
                StepEnd::Over(outcome) => {
                    if let Some(outcome) = outcome {
                        tally.count(&outcome);
                    }
                    break;
                }
                StepEnd::Lost(lost) => {
                    tally.lost(&lost);
                    continue;
                }
                StepEnd::Refused(_) | StepEnd::Away(_) => continue,
            };
            tally.count(&outcome);
            // Another daemon ended it with its run.
            if outcome.stopped.is_some_and(|cause| cause != StopCause::Timeout) {
                break;
            }
            if let (Some(verdict), Some(code)) = (verdicts.get_mut(place as usize), exit(&outcome)) {
                verdict.met = Some(code == 0);
            }
        }
        if verdicts.iter().all(|verdict| verdict.met.is_none()) {
            return Ok(());
        }
        let command = Command::JudgeBase { work, verdicts };
        if let Err(problem) = self.engine.execute(&Caller::host(), command, None).await {
            tracing::debug!(%work, "what the criteria say of the base was not recorded: {problem}");
        }
        Ok(())
    }
}
