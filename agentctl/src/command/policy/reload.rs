//! `agentctl policy reload`

use agentd_schemas::view::PoliciesView;

use super::in_force;
use crate::context::{Context, read};
use crate::error::Failure;
use crate::presence::govern;

/// Have agentd read its policies again
///
/// All files are checked first, with their example requests. Where one is wrong, those before count, and the status of the host
/// says so until it is mended. What is decided already stays decided.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl policy check && agentctl policy reload")]
pub(crate) struct Args {}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let told: String = govern(context.host().await?.inner(), "ReloadPolicies", &()).await?;
        let view: PoliciesView = read(&told)?;
        context.out.show(&view, std::slice::from_ref(&view.set), |out| {
            out.line(in_force(&view))?;
            out.line(format!("set {}", view.set))
        })
    }
}
