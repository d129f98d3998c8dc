//! What a run begins with: its workspace, and the work's own setup in it.

use std::fs::File;

use agentd_schemas::problem::Problem;

use super::conclusion::Conclusion;
use super::course::Course;
use super::finish::Tally;
use super::job::Told;
use super::step::Steps;
use crate::runner::{self, Context, Step};

impl Course {
    /// The workspace, and its setup. `None` where the program may begin.
    pub(super) async fn prepare(
        &self,
        told: &Told,
        steps: &Steps<'_>,
        context: &mut Context,
        tally: &mut Tally,
    ) -> Result<Option<Conclusion>, Problem> {
        if told.job.workspace.is_none() {
            return Ok(None);
        }
        let input = match self.content(told) {
            Ok(input) => input,
            Err(reason) => return Ok(Some(Conclusion::not_started(reason))),
        };
        let end = steps.run(Step::Prepare, self.spec(told, Step::Prepare, context), input, |_| {}).await?;
        if let Err(conclusion) = tally.helper("its workspace could not be made", steps.folder, Step::Prepare, end) {
            return Ok(Some(conclusion));
        }
        match runner::prepared(steps.folder) {
            Ok(prepared) => context.base = Some(prepared.base),
            Err(unusable) => {
                return Ok(Some(Conclusion::not_started(format!("its workspace could not be made: {unusable}"))));
            }
        }
        if told.job.setup().is_none() {
            return Ok(None);
        }
        let end = steps.run(Step::Setup, self.spec(told, Step::Setup, context), None, |_| {}).await?;
        Ok(tally.helper("the setup failed", steps.folder, Step::Setup, end).err())
    }

    /// What was handed in for the workspace.
    fn content(&self, told: &Told) -> Result<Option<File>, String> {
        let Some(content) = told.job.workspace.as_ref().and_then(|workspace| workspace.content.as_ref()) else {
            return runner::content::nothing().map(Some).map_err(|error| error.to_string());
        };
        match runner::content::open(&self.supervisor.runs.host, told.job.uid_owner, &content.sha256) {
            Ok(Some(file)) => Ok(Some(file)),
            Ok(None) => {
                Err("what was handed in for its workspace is not here any more: submit the work anew".to_owned())
            }
            Err(error) => Err(format!("what was handed in for its workspace cannot be read: {error}")),
        }
    }
}
