//! `agentctl ledger restore`

use std::ffi::OsString;
use std::path::PathBuf;

use crate::command;
use crate::context::Context;
use crate::daemon_program;
use crate::error::Failure;

/// Make a state directory from a backup, as a new incarnation of the ledger
///
/// Done by `agentd restore`: the backup is verified first, and the restored ledger signs under a new origin, so that
/// nothing that the old one had promised can be taken for its own.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  agentctl ledger restore agentd-backup.db --state /var/lib/agentd --reason 'disk failed'"
)]
pub(crate) struct Args {
    /// The backup
    backup: PathBuf,
    /// State directory to make; must not hold a ledger
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Why; kept in the log
    #[arg(long, short, value_name = "TEXT", value_parser = command::reason)]
    reason: String,
    /// The highest incarnation that this ledger ever had, when the backup is older than that: it was restored before
    #[arg(long, value_name = "N")]
    last_incarnation: Option<u32>,
}

impl Args {
    /// Runs the command.
    #[allow(clippy::unused_async, reason = "every command has this form")]
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let state = self.state.display().to_string();
        let mut arguments: Vec<OsString> = vec![
            "restore".into(),
            self.backup.into(),
            "--state".into(),
            self.state.into(),
            "--reason".into(),
            self.reason.into(),
        ];
        if let Some(last) = self.last_incarnation {
            arguments.extend(["--last-incarnation".into(), last.to_string().into()]);
        }
        if !context.out.is_json() {
            return Err(daemon_program::become_it(&arguments));
        }
        let said = daemon_program::output(&arguments)?;
        let lines: Vec<&str> = said.lines().collect();
        context.out.json(&serde_json::json!({ "state": state, "said": lines }))
    }
}
