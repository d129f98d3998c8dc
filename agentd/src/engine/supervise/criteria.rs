//! What the criteria say of what a run made. A command that did not begin, or of which nobody saw the end, says nothing.

use agentd_schemas::content::JudgeReport;
use agentd_schemas::document::Acceptance;
use agentd_schemas::event::{ArtefactRef, CommandEvidence, FailureReason, Verdict};
use agentd_schemas::launch::{Ending, Outcome};
use agentd_schemas::problem::Problem;
use sha2::{Digest as _, Sha256};

use super::conclusion::{Conclusion, Fault, how, lost_reason, of_the_host, out_of_memory};
use super::course::{Course, blocking};
use super::finish::{Tally, quoted};
use super::job::Told;
use super::step::{StepEnd, Steps};
use crate::runner::{self, Collected, Context, LeftOut, Output, Step};

/// Protected paths that evidence names, at most.
const MAX_PROTECTED: usize = 16;
/// Things that were left out which are named, at most.
const MAX_LEFT_OUT: usize = 16;
/// Bytes of what each command wrote that the ledger keeps.
const MAX_REPORT: usize = 16 << 10;
/// Bytes of what the criteria complained about, at most.
const MAX_MESSAGE: usize = 64_000;
/// What a step ends with whose command could not begin.
const UNPREPARED: i32 = 125;

/// What the criteria say, as it comes.
pub(super) struct Sayings {
    pub(super) verdicts: Vec<Verdict>,
    pub(super) complaints: Vec<String>,
    pub(super) reports: Vec<JudgeReport>,
}

/// What is in no result, though it lay in the workspace; none where nothing is.
pub(super) fn left_out(collected: &Collected) -> Option<String> {
    let named = |left: &LeftOut| format!("{} ({})", left.path, left.kind);
    let mut names: Vec<String> = collected.left_out.iter().take(MAX_LEFT_OUT).map(named).collect();
    match collected.left_out.len().saturating_sub(MAX_LEFT_OUT) {
        0 => {}
        more => names.push(format!("and {more} more")),
    }
    (!names.is_empty()).then(|| format!("left out of the result: {}", names.join(", ")))
}

impl Sayings {
    fn say(&mut self, place: u32, met: bool, said: &str) {
        if let Some(verdict) = self.verdicts.get_mut(place as usize) {
            verdict.met = Some(met);
            if !met {
                self.complaints.push(format!("criterion {} ({}): {said}", place + 1, verdict.kind.replace('_', " ")));
            }
        }
    }

    pub(super) fn message(&self) -> Option<String> {
        let mut text = self.complaints.join("\n");
        if text.len() > MAX_MESSAGE {
            let cut = (0..=MAX_MESSAGE).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(cut);
            text.push('…');
        }
        (!text.is_empty()).then_some(text)
    }
}

impl Course {
    /// Criteria that look at what was changed: rules first, commands after them.
    pub(super) async fn judge_made(
        &self,
        told: &Told,
        steps: &Steps<'_>,
        context: &mut Context,
        collected: &Collected,
        tally: &mut Tally,
        sayings: &mut Sayings,
    ) -> Result<Option<Conclusion>, Problem> {
        for (check, place) in told.job.checks.iter().zip(0..) {
            let judged = match check {
                Some(Acceptance::Changes(rules)) => runner::judge_changes(rules, collected),
                Some(Acceptance::Files(files)) => runner::judge_files(files, collected),
                _ => continue,
            };
            sayings.say(place, judged.met, &judged.said);
        }
        for (place, command) in told.job.commands() {
            let (step, tree) = (Step::Check(place), collected.tree_for(place).to_owned());
            context.tree = Some(tree.clone());
            let end = steps.run(step, self.spec(told, step, context), None, |_| {}).await?;
            let outcome = match end {
                StepEnd::Ended(outcome) => outcome,
                StepEnd::Over(outcome) => {
                    if let Some(outcome) = outcome {
                        tally.count(&outcome);
                    }
                    return Ok(Some(Conclusion::Over));
                }
                StepEnd::Refused(why) | StepEnd::Away(Fault { reason: why, .. }) => {
                    return Ok(Some(no_verdict(place, FailureReason::NotStarted, &why)));
                }
                StepEnd::Lost(lost) => {
                    tally.lost(&lost);
                    let reason = lost_reason(lost.oom_killed);
                    let why = format!("nobody saw how it ended{}", out_of_memory(lost.oom_killed));
                    return Ok(Some(no_verdict(place, reason, &why)));
                }
            };
            tally.count(&outcome);
            if let Some(reason) = not_its_doing(steps, step, &outcome).await? {
                let why = format!("{}{}", how(&outcome), quoted(steps.folder, step));
                return Ok(Some(no_verdict(place, reason, &why)));
            }
            let changed = collected.protected_changed(place);
            let (met, mut said) = verdict_of(steps, step, &outcome, &command.command);
            if !changed.is_empty() {
                let names: Vec<&str> = changed.iter().take(MAX_PROTECTED).map(String::as_str).collect();
                said.push_str(&format!(
                    "\nprotected paths were changed, and put back before it ran: {}",
                    names.join(", ")
                ));
            }
            sayings.say(place, met, &said);
            let evidence = evidence(steps, step, &outcome, tree, changed);
            sayings.reports.push(JudgeReport { criterion: place, output: evidence.1 });
            if let Some(verdict) = sayings.verdicts.get_mut(place as usize) {
                verdict.evidence = Some(evidence.0);
            }
        }
        Ok(None)
    }
}

pub(super) fn judge_artefacts(told: &Told, artefacts: &[ArtefactRef], sayings: &mut Sayings) {
    for (check, place) in told.job.checks.iter().zip(0..) {
        if let Some(Acceptance::Artefact(rule)) = check {
            let judged = runner::judge_artefact(rule, artefacts);
            sayings.say(place, judged.met, &judged.said);
        }
    }
}

/// The exit code of a command that ended by itself.
pub(super) fn exit(outcome: &Outcome) -> Option<i32> {
    match (&outcome.ending, outcome.stopped) {
        (Ending::Exited(code), None) => Some(*code),
        _ => None,
    }
}

/// Why the end of a command is no verdict on what it looked at: it did not begin, or was not let end.
async fn not_its_doing(steps: &Steps<'_>, step: Step, outcome: &Outcome) -> Result<Option<FailureReason>, Problem> {
    if let Some(reason) = of_the_host(outcome) {
        return Ok(Some(reason));
    }
    if exit(outcome) != Some(UNPREPARED) {
        return Ok(None);
    }
    let folder = steps.folder.clone();
    let began = blocking(move || runner::began(&folder, step)).await?.map_err(Problem::internal)?;
    Ok(began.is_none().then_some(FailureReason::NotStarted))
}

/// Nobody is blamed for a criterion that could not be tried.
fn no_verdict(place: u32, reason: FailureReason, why: &str) -> Conclusion {
    Conclusion::Failed(reason, format!("criterion {} could not be tried: {why}", place + 1))
}

fn verdict_of(steps: &Steps<'_>, step: Step, outcome: &Outcome, command: &str) -> (bool, String) {
    let met = exit(outcome) == Some(0);
    (met, format!("{command:?}: {}{}", how(outcome), quoted(steps.folder, step)))
}

fn evidence(
    steps: &Steps<'_>,
    step: Step,
    outcome: &Outcome,
    tree: String,
    changed: &[String],
) -> (CommandEvidence, String) {
    let read = |stream| runner::command_output_end(steps.folder, step, stream, MAX_REPORT).unwrap_or_default();
    let output = [read(Output::Stdout), read(Output::Stderr)].concat();
    let evidence = CommandEvidence {
        tree,
        spec_sha256: runner::spec_digest(steps.folder, step).unwrap_or_default(),
        exit_code: exit(outcome),
        output_sha256: data_encoding::HEXLOWER.encode(&Sha256::digest(&output)),
        wall_ms: outcome.usage.wall_ms,
        protected_changed: changed.iter().take(MAX_PROTECTED).cloned().collect(),
    };
    (evidence, String::from_utf8_lossy(&output).into_owned())
}
