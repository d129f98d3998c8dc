//! What a run made: collected, judged by every criterion that machines can decide, sealed as a signed commit.

use agentd_schemas::event::{ArtefactRef, CommitRef, FailureReason, Verdict};
use agentd_schemas::problem::Problem;

use super::conclusion::{Conclusion, near_its_memory, out_of_memory};
use super::course::{Course, Ended, blocking};
use super::criteria::{Sayings, judge_artefacts, left_out};
use super::finish::{Tally, quoted};
use super::job::Told;
use super::step::Steps;
use crate::ledger::load;
use crate::runner::{self, Collected, CommitDraft, Context, Identity, Step};

/// Bytes of an artefact that agentd makes, at most.
const MAX_ARTEFACT: u64 = 1 << 30;

/// Everything that is handed in.
pub(super) struct Made {
    pub(super) result: String,
    pub(super) json: bool,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) message: Option<String>,
    pub(super) artefacts: Vec<ArtefactRef>,
    pub(super) commit: Option<CommitRef>,
    pub(super) report: Option<Vec<u8>>,
}

impl Course {
    /// Collects and judges what the program left.
    pub(super) async fn judge(
        &self,
        told: &Told,
        steps: &Steps<'_>,
        mut context: Context,
        ended: &Ended,
        tally: &mut Tally,
    ) -> Result<Conclusion, Problem> {
        let handed = self.engine.handed_in(&self.run, steps.folder.folder())?;
        let result = match result(told, steps, ended, handed.result).await? {
            Ok(result) => result,
            Err(why) => return Ok(Conclusion::Failed(FailureReason::ProgramFailed, why)),
        };
        let mut artefacts = handed.artefacts;
        let mut collected = None;
        if told.job.workspace.is_some() {
            let end = steps.run(Step::Collect, self.spec(told, Step::Collect, &context), None, |_| {}).await?;
            if let Err(conclusion) = tally.helper("what it made cannot be collected", steps.folder, Step::Collect, end)
            {
                return Ok(conclusion);
            }
            let folder = steps.folder.clone();
            match blocking(move || runner::collected(&folder)).await? {
                Ok(found) => collected = Some(found),
                Err(unusable) => return Ok(Conclusion::Failed(FailureReason::ProgramFailed, unusable.to_string())),
            }
        }
        let spec = &told.work.spec;
        let schemas = self.schemas(told)?;
        let judged = self.engine.0.judges.judge(spec.owner, spec.acceptance.clone(), schemas, result).await;
        let judged = match judged {
            Ok(judged) => judged,
            // A result that not all readers read alike is the program's fault, and said to the next attempt.
            Err(problem) => return Ok(Conclusion::Failed(FailureReason::ProgramFailed, problem.to_string())),
        };
        let mut sayings = Sayings {
            verdicts: judged.verdicts,
            complaints: judged.message.into_iter().collect(),
            reports: Vec::new(),
        };
        sayings.complaints.extend(collected.as_ref().and_then(left_out));
        if let Some(collected) = &collected
            && let Some(over) = self.judge_made(told, steps, &mut context, collected, tally, &mut sayings).await?
        {
            return Ok(over);
        }
        judge_artefacts(told, &artefacts, &mut sayings);
        let mut commit = None;
        if let Some(collected) = &collected
            && !collected.changes.is_empty()
        {
            match self.seal(told, steps, &mut context, collected, ended, tally).await? {
                Ok((sealed, made)) => {
                    commit = Some(sealed);
                    artefacts.extend(made);
                }
                Err(conclusion) => return Ok(conclusion),
            }
        }
        let report = serde_json::to_vec(&sayings.reports).map_err(Problem::internal)?;
        Ok(Conclusion::Made(Box::new(Made {
            result: judged.result,
            json: judged.json,
            message: sayings.message(),
            artefacts,
            commit,
            report: (!sayings.reports.is_empty()).then_some(report),
            verdicts: sayings.verdicts,
        })))
    }

    fn schemas(&self, told: &Told) -> Result<Vec<Option<serde_json::Value>>, Problem> {
        let key = told.work.key;
        let content =
            self.engine.0.readers.with(|conn| load::content::of_work(conn, key).map_err(Problem::internal))?;
        Ok(content.map(|content| content.schemas).unwrap_or_default())
    }

    /// Stores the commit, signed with the agent's key, and keeps diff and bundle.
    async fn seal(
        &self,
        told: &Told,
        steps: &Steps<'_>,
        context: &mut Context,
        collected: &Collected,
        ended: &Ended,
        tally: &mut Tally,
    ) -> Result<Result<(CommitRef, Vec<ArtefactRef>), Conclusion>, Problem> {
        let known = self.engine.known(&self.agent)?.ok_or_else(|| Problem::internal("the agent of the run is gone"))?;
        let key = self.supervisor.keys().load(&self.agent, &known.public_key).map_err(Problem::internal)?;
        let run = told.job.run;
        let draft = CommitDraft {
            format: collected.format,
            tree: collected.tree.clone(),
            parents: vec![collected.base.clone()],
            author: Identity {
                name: self.agent.to_string(),
                email: format!("{}@{}", self.agent, self.engine.host().trust_domain),
            },
            // The same however often it is sealed: a daemon that was killed in between comes by again.
            seconds: u64::try_from(ended.outcome.at.as_ms() / 1000).unwrap_or(0),
            title: told.job.claim.title.clone(),
            body: String::new(),
            trailers: vec![
                ("Agentd-Work".to_owned(), run.work.to_string()),
                ("Agentd-Run".to_owned(), run.to_string()),
                ("Agentd-Log".to_owned(), self.engine.host().origin.clone()),
            ],
        };
        let commit = runner::commit(&draft, &key).map_err(Problem::internal)?;
        let id = commit.id.clone();
        context.commit = Some(commit);
        let end = steps.run(Step::Seal, self.spec(told, Step::Seal, context), None, |_| {}).await?;
        if let Err(conclusion) = tally.helper("its commit could not be stored", steps.folder, Step::Seal, end) {
            return Ok(Err(conclusion));
        }
        match runner::sealed(steps.folder) {
            Ok(stored) if stored == id => {}
            Ok(_) => {
                return Ok(Err(Conclusion::Failed(
                    FailureReason::NotStarted,
                    "the commit that was stored is not the one that was signed".to_owned(),
                )));
            }
            Err(unusable) => return Ok(Err(Conclusion::Failed(FailureReason::NotStarted, unusable.to_string()))),
        }
        let (host, folder) = (self.supervisor.runs.host.clone(), steps.folder.clone());
        let kept = blocking(move || {
            let keep = |name: &str, file: std::path::PathBuf| {
                let below = file.strip_prefix(folder.folder()).unwrap_or(&file);
                runner::artefact(&host, name, &folder, below, MAX_ARTEFACT)
            };
            Ok::<_, std::io::Error>(vec![
                keep("agentd/changes.diff", folder.changes())?,
                keep("agentd/result.bundle", folder.bundle())?,
            ])
        });
        match kept.await? {
            Ok(made) => Ok(Ok((CommitRef { id, branch: branch(run) }, made))),
            Err(error) => Ok(Err(Conclusion::Failed(
                FailureReason::NotStarted,
                format!("what it made could not be kept: {error}"),
            ))),
        }
    }
}

/// The result: what was handed in by the run's socket, else what the program left.
async fn result(
    told: &Told,
    steps: &Steps<'_>,
    ended: &Ended,
    handed: Option<String>,
) -> Result<Result<String, String>, Problem> {
    if let Some(result) = handed {
        return Ok(Ok(result));
    }
    let (step, folder) = (Step::Program(ended.start), steps.folder);
    let (job, at, outcome) = (told.job.clone(), folder.clone(), ended.outcome.clone());
    let start = ended.start;
    // It may be for the launcher alone to open.
    let found = blocking(move || runner::result(&job, &at, start, &outcome)).await?;
    Ok(found.map_err(|none| {
        let said = match none {
            runner::NoResult::Failed(_) | runner::NoResult::Signalled(_) => quoted(folder, step),
            _ => String::new(),
        };
        let near = near_its_memory(&ended.outcome, told.job.memory(steps.host));
        format!("{none}{near}{}{said}", out_of_memory(ended.outcome.oom_killed))
    }))
}

/// The session of a start of the program that waits, or why nobody can know it.
pub(super) async fn session(
    told: &Told,
    steps: &Steps<'_>,
    ended: &Ended,
) -> Result<Result<Option<String>, String>, Problem> {
    let (job, folder, outcome, start) = (told.job.clone(), steps.folder.clone(), ended.outcome.clone(), ended.start);
    let found = blocking(move || runner::session(&job, &folder, start, &outcome)).await?;
    Ok(found.map_err(|none| format!("the program cannot go on, since its session is not known: {none}")))
}

/// The branch of a run's commit.
fn branch(run: agentd_schemas::id::RunId) -> String {
    format!("agentd/{}/{}", run.work, run.attempt)
}
