//! `agentctl ledger export`

use std::os::fd::AsFd;
use std::path::PathBuf;

use agentd_schemas::dbus::LedgerProxy;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zbus::Fd;

use crate::context::Context;
use crate::error::Failure;
use crate::new_file::NewFile;
use crate::output::{bytes, count};

/// Write an export that anybody can verify
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  agentctl ledger export ledger.jsonl\n  agentctl ledger export --mine --content mine.jsonl\n  \
    agentctl ledger export - | gzip > ledger.jsonl.gz"
)]
pub(crate) struct Args {
    /// The file to make, readable by its owner alone; - for stdout
    file: PathBuf,
    /// Only what concerns the caller, with proofs that lead to the same checkpoint
    #[arg(long)]
    mine: bool,
    /// Also the content that the caller may read
    #[arg(long)]
    content: bool,
    /// Replace the file
    #[arg(long)]
    force: bool,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        // A large log takes as long as it takes.
        let reached = context.anew(None).await?;
        let ledger = LedgerProxy::new(&reached.connection).await?;
        if self.file.as_os_str() == "-" {
            let stdout = std::io::stdout();
            let exported = ledger.export(Fd::from(stdout.as_fd()), self.mine, self.content).await;
            return match exported {
                // The daemon writes, so it is the daemon that met the closed pipe.
                Err(_) if reader_left(&stdout) => Err(Failure::reader_left()),
                exported => Ok(exported.map(drop)?),
            };
        }
        let file = NewFile::create(&self.file, self.force)?;
        let events = ledger.export(Fd::from(file.file().as_fd()), self.mine, self.content).await?;
        let size = file.keep()?;
        let name = self.file.display().to_string();
        let view = serde_json::json!({ "file": name, "events": events, "bytes": size });
        context.out.show(&view, std::slice::from_ref(&name), |out| {
            out.line(format!("{name}: {}, {}", count(events, "event"), bytes(size)))
        })?;
        context.out.hint(format!("agentctl ledger verify {}", crate::output::shell_word(&name)));
        Ok(())
    }
}

/// Whether nobody reads the pipe that stdout is.
fn reader_left(stdout: &impl AsFd) -> bool {
    let mut looked = [PollFd::new(stdout, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut looked, Some(&at_once)).is_ok() && looked[0].revents().contains(PollFlags::ERR)
}
