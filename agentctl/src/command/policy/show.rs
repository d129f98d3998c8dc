//! `agentctl policy show`

use agentd_schemas::view::PoliciesView;

use super::rows;
use crate::context::{Context, read};
use crate::error::Failure;
use crate::output::{Details, Output, plain};

/// Show the policies in force: what is built in, the defaults, and the host's own
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl policy show")]
pub(crate) struct Args {}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let view: PoliciesView = read(&context.host().await?.policies().await?)?;
        let ids: Vec<String> = view.policies.iter().map(|row| row.id.clone()).collect();
        context.out.show(&view, &ids, |out| words(out, &view))?;
        if let Some(wrong) = &view.wrong {
            context.out.note(wrong);
        }
        Ok(())
    }
}

fn words(out: &Output, view: &PoliciesView) -> Result<(), Failure> {
    let mut details = Details::new();
    details.add("set", &view.set);
    details.maybe("folder", view.folder.as_ref().map(|folder| plain(&folder.display().to_string())));
    details.list("files", view.files.iter().map(|file| format!("{}  {}", plain(&file.name), file.sha256)));
    details.list("actions", [view.actions.join(" ")]);
    details.write(out)?;
    out.line("")?;
    rows(out, &view.policies)
}
