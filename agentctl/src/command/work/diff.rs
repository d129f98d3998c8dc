//! `agentctl work diff`

use crate::apply::paths;
use crate::artefact::{self, DIFF};
use crate::context::Context;
use crate::error::Failure;
use crate::git::diffstat;

/// Show what a run changed
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl work diff @\n  agentctl work diff @ --stat\n  \
    agentctl work diff @ --attempt 1 > first.diff")]
pub(crate) struct Args {
    /// The work: an id, a unique prefix of one, or @
    work: String,
    /// This attempt; without, the newest that changed something
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// Only which files, with added and removed lines
    #[arg(long)]
    stat: bool,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let out = &context.out;
        let view = artefact::work(context, &self.work).await?;
        let (run, found) = artefact::run(&view, self.attempt, DIFF)?;
        let diff = artefact::diff(context, run, found).await?;
        if let Some(note) = artefact::protected_note(run) {
            out.note(note);
        }
        let files = diffstat::files(&String::from_utf8_lossy(&diff));
        for path in paths::unsafe_ones(&files) {
            out.note(format!("warning: {path}"));
        }
        if !self.stat && !out.is_json() {
            return diffstat::print(out, &diff);
        }
        let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
        let told = serde_json::json!({ "run": run.id, "files": files, "protected_changed": artefact::protected(run) });
        out.show(&told, &paths, |out| diffstat::lines(Some(out), &files).iter().try_for_each(|line| out.line(line)))
    }
}
