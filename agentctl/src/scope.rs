//! What `freeze` and `thaw` are about: everything, a work or an agent.

use agentd_schemas::document::request::Scope;

use crate::context::Context;
use crate::error::Failure;
use crate::latest;

/// The thing on the command line.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Target {
    /// A work (an id, a unique prefix of one, or @) or the name of an agent
    #[arg(value_name = "WORK|AGENT")]
    target: Option<String>,
    /// Everything on this host
    #[arg(long)]
    all: bool,
}

impl Target {
    /// What is meant. A text that could be either is a work where there is one.
    pub(crate) async fn scope(&self, context: &Context) -> Result<Scope, Failure> {
        let Some(target) = &self.target else {
            return Ok(Scope::All);
        };
        if latest::looks_like_work(target) {
            match latest::work_id(context, target).await {
                Ok(work) => return Ok(Scope::Work(work)),
                Err(failure) if failure.code() == "not_found" && target != "@" => {}
                Err(failure) => return Err(failure),
            }
        }
        let agent = target.parse();
        agent.map(Scope::Agent).map_err(|error| Failure::usage(format!("{target:?} is no work and no agent: {error}")))
    }
}
