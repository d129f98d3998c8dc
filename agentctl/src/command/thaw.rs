//! `agentctl thaw`

use crate::context::{Context, document};
use crate::error::Failure;
use crate::presence::govern;
use crate::scope::Target;
use crate::story;

/// End a freeze
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl thaw --all")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let scope = self.target.scope(context).await?;
        govern::<_, ()>(context.host().await?.inner(), "Thaw", &(document(&scope)?,)).await?;
        let what = story::scope(&scope);
        context.out.done("thawed", &what, &format!("thawed: {what}"))
    }
}
