//! `agentctl ledger backup`

use std::os::fd::AsFd;
use std::path::PathBuf;

use agentd_schemas::dbus::LedgerProxy;
use zbus::Fd;

use crate::context::Context;
use crate::error::Failure;
use crate::new_file::NewFile;
use crate::output::{bytes, count, shell_word};
use crate::presence::govern;

/// Write a consistent copy of the database
///
/// The copy is made while agentd works. It holds no private keys: a restored ledger begins a new incarnation.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  agentctl ledger backup agentd-backup.db\n  agentctl ledger verify agentd-backup.db"
)]
pub(crate) struct Args {
    /// The file to make, readable by its owner alone
    file: PathBuf,
    /// Replace the file
    #[arg(long)]
    force: bool,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let reached = context.anew(None).await?;
        let ledger = LedgerProxy::new(&reached.connection).await?;
        let file = NewFile::create(&self.file, self.force)?;
        let events: u64 = govern(ledger.inner(), "Backup", &(Fd::from(file.file().as_fd()),)).await?;
        let size = file.keep()?;
        let name = self.file.display().to_string();
        let view = serde_json::json!({ "file": name, "events": events, "bytes": size });
        context.out.show(&view, std::slice::from_ref(&name), |out| {
            out.line(format!("{name}: {}, {}", count(events, "event"), bytes(size)))
        })?;
        context.out.hint(format!("agentctl ledger verify {}", shell_word(&name)));
        Ok(())
    }
}
