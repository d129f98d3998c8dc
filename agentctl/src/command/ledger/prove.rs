//! `agentctl ledger prove`

use std::path::PathBuf;

use crate::context::Context;
use crate::error::Failure;
use crate::new_file::NewFile;
use crate::output::shell_word;

/// Give a proof that one event is in the log, for anybody who has the log's key
///
/// The proof is in the form c2sp.org/tlog-proof@v1. Together with the exact bytes of the event it is checked by
/// `agentctl ledger verify-proof`, or by any other program that knows the form.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  agentctl ledger show 17 --json > event.json\n  agentctl ledger prove 17 --out event.proof\n  \
    agentctl ledger verify-proof event.proof event.json --key log.vkey"
)]
pub(crate) struct Args {
    /// Index of the event in the log
    event: u64,
    /// Write the proof into this file
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file
    #[arg(long, requires = "out")]
    force: bool,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let proof = context.ledger().await?.prove(self.event).await?;
        let view = serde_json::json!({ "event": self.event, "proof": proof });
        let Some(path) = self.out else {
            return context.out.show(&view, &[self.event.to_string()], |out| out.raw(proof.as_bytes()));
        };
        let mut file = NewFile::create(&path, self.force)?;
        file.write(proof.as_bytes())?;
        file.keep()?;
        let name = path.display().to_string();
        let words = format!("{name}: proof of event {}", self.event);
        context.out.show(&view, std::slice::from_ref(&name), |out| out.line(words))?;
        context.out.hint(format!("agentctl ledger show {} --json > event.json", self.event));
        context.out.hint("agentctl ledger checkpoint --key > log.vkey");
        context.out.hint(format!("agentctl ledger verify-proof {} event.json --key log.vkey", shell_word(&name)));
        Ok(())
    }
}
