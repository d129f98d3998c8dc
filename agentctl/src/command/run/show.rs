//! `agentctl run show`

use agentd_schemas::http::run::RunDocument;

use super::own::{OwnRun, directive};
use crate::context::Context;
use crate::error::Failure;
use crate::output::Details;

/// Show the work of this run: what is to be done, what became of the attempt before, what is left, what persons said
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl run show\n  agentctl run show --json > task.json")]
pub(crate) struct Args {}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let run: RunDocument = OwnRun::here()?.get("/v1/run").await?;
        let claim = &run.claim;
        context.out.show(&run, &[claim.run.to_string()], |out| {
            let mut details = Details::new();
            details.add("run", claim.run).add("title", &claim.title);
            details.add("attempt", format!("{} of {}", claim.attempt, claim.max_attempts));
            details.add("now", directive(&run.status));
            details.maybe("time left", claim.timeout_s.map(|left| format!("{left} s")));
            details.maybe("micro-USD left", claim.cost_left_micro_usd).maybe("tokens left", claim.tokens_left);
            details.maybe("finish by", claim.finish_by.map(|at| out.time(at)));
            details.maybe("result", run.finished.then_some("handed in"));
            details.write(out)?;
            out.section("instructions", &claim.instructions)?;
            if let Some(inputs) = &claim.inputs {
                out.section("inputs", &format!("{inputs:#}"))?;
            }
            if let Some(message) = claim.previous.as_ref().and_then(|previous| previous.message.as_deref()) {
                out.section("the attempt before", message)?;
            }
            run.status.notes.iter().try_for_each(|note| out.section("a person said", note))
        })
    }
}
