//! `agentctl run finish`

use agentd_schemas::http::MAX_RESULT_BYTES;
use agentd_schemas::http::run::{RunFinish, RunFinished};

use super::own::OwnRun;
use crate::context::Context;
use crate::error::Failure;
use crate::input;

/// Hand in the result, once; it is judged when the program has ended
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl run finish --result 38\n  agentctl run finish --file result.json")]
pub(crate) struct Args {
    /// The result
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, required_unless_present = "file")]
    result: Option<String>,
    /// Read the result from this file, - for stdin
    #[arg(long, short, value_name = "FILE", conflicts_with = "result")]
    file: Option<String>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let result = match (self.result, &self.file) {
            (Some(result), _) => result,
            (None, Some(file)) => input::text(file, MAX_RESULT_BYTES)?,
            (None, None) => return Err(Failure::usage("a result is missing").hint("--result TEXT, or --file FILE")),
        };
        let finished: RunFinished = OwnRun::here()?.post("finish", &RunFinish { result }).await?;
        context.out.show(&finished, std::slice::from_ref(&finished.sha256), |out| {
            out.line(format!("handed in: {} bytes, sha256 {}", finished.bytes, finished.sha256))
        })
    }
}
