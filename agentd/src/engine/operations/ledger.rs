//! The log, as persons read it: events, proofs, exports, backups.

use std::io::{BufRead as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use agentd_schemas::document::request::EventFilter;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::view::{HeadView, PageOfEvents};

use crate::domain::Command;
use crate::engine::Engine;
use crate::ledger::open::{empty_wal, open_reader, open_writer};
use crate::ledger::query::named::Named;
use crate::ledger::{backup, export, prove, query};
use crate::policy::{Action, Caller, Resource};
use crate::sys::outlet::{Outlet, PATIENCE, PIECE};

impl Engine {
    fn reads(&self, caller: &Caller) -> Result<(), Problem> {
        let action = if caller.viewer().all { Action::LedgerReadAll } else { Action::LedgerReadOwn };
        self.permit(caller, action, &Resource::host()).map(drop)
    }

    /// The newest checkpoint; it is kept for ever, because it is given out.
    pub async fn head(&self, caller: &Caller) -> Result<HeadView, Problem> {
        self.reads(caller)?;
        self.keep_checkpoint().await?;
        self.0.readers.with(|conn| Ok(query::ledger::head(conn)?))
    }

    /// Keeps the signed head that is about to be given out. A full disk keeps nobody from getting data away: the head is
    /// signed already, and the tree has it at every size.
    async fn keep_checkpoint(&self) -> Result<(), Problem> {
        match self.0.mailbox()?.keep_checkpoint().await {
            Err(problem) if problem.code == Code::DiskFull => {
                tracing::warn!("a checkpoint is given out that is not kept: {problem}");
                Ok(())
            }
            other => other,
        }
    }

    /// Events that the caller may see.
    pub fn events(&self, caller: &Caller, filter: &EventFilter) -> Result<PageOfEvents, Problem> {
        self.reads(caller)?;
        if let Some((kind, id)) = query::ledger::asked(filter)? {
            self.read(caller, Named::Subject(kind, id))?;
        }
        self.0.readers.with(|conn| Ok(query::ledger::events(conn, &caller.viewer(), filter)?))
    }

    /// Events from a log index on.
    pub fn events_since(&self, caller: &Caller, since: u64, limit: u32) -> Result<PageOfEvents, Problem> {
        let limit = (limit > 0).then_some(limit);
        self.events(caller, &EventFilter { since, limit, ..EventFilter::default() })
    }

    /// The proof of one event.
    pub async fn prove(&self, caller: &Caller, event: u64) -> Result<String, Problem> {
        self.reads(caller)?;
        self.read(caller, Named::Event(event))?;
        self.keep_checkpoint().await?;
        self.0.readers.with(|conn| Ok(prove::prove(conn, event).map_err(Problem::internal)?.to_string()))
    }

    /// Writes an export into a file of the caller's.
    pub async fn export(&self, caller: &Caller, into: OwnedFd, mine: bool, content: bool) -> Result<u64, Problem> {
        self.reads(caller)?;
        if !mine {
            let whole = self.permit(caller, Action::LedgerReadAll, &Resource::host());
            whole.map_err(|problem| problem.hint("export what is your own: agentctl ledger export --mine"))?;
        }
        let outlet = outlet(into)?;
        let place = self.0.readers.long(caller.uid)?;
        self.keep_checkpoint().await?;
        let owner = mine.then_some(caller.uid);
        let database = self.host().state.join("ledger.db");
        let exported_at = self.now();
        let task = tokio::task::spawn_blocking(move || {
            let conn = open_reader(&database).map_err(Problem::internal)?;
            let file = std::io::BufWriter::with_capacity(PIECE, outlet);
            let exported = export::export(&conn, file, export::Wanted { owner, content, at: exported_at });
            drop(place);
            exported.map(|exported| exported.events).map_err(|error| unwritten(&error))
        });
        task.await.map_err(Problem::internal)?
    }

    /// Writes a consistent copy of the database into a file of the caller's.
    pub async fn backup(&self, caller: &Caller, into: OwnedFd) -> Result<u64, Problem> {
        self.permit_witnessed(caller, Action::LedgerBackup, &Resource::host()).await?;
        let outlet = outlet(into)?;
        let place = self.0.readers.long(caller.uid)?;
        self.0.mailbox()?.keep_checkpoint().await?;
        let state = self.host().state.clone();
        let task = tokio::task::spawn_blocking(move || {
            let copied = copy_into(&state, outlet);
            drop(place);
            copied
        });
        task.await.map_err(Problem::internal)?
    }

    /// Erases content.
    pub async fn redact(&self, caller: &Caller, event: u64, slot: u8, reason: &str) -> Result<(), Problem> {
        let command = Command::Redact { event, slot, reason: reason.to_owned() };
        self.execute(caller, command, None).await?;
        if let Err(problem) = self.remove_erased().await {
            tracing::warn!("what lies beside the ledger of erased content is removed at the next clearing: {problem}");
        }
        let database = self.host().state.join("ledger.db");
        let emptied = tokio::task::spawn_blocking(move || {
            open_writer(&database)
                .map_err(Problem::internal)
                .and_then(|conn| empty_wal(&conn).map_err(Problem::internal))
        });
        match emptied.await.map_err(Problem::internal)? {
            Ok(true) => Ok(()),
            // The erasure itself is durable; what is late is the end of an older copy.
            Ok(false) => {
                tracing::warn!("the WAL is in use: erased content leaves it when it is folded next");
                Ok(())
            }
            Err(problem) => Err(problem),
        }
    }

    /// Keeps the content of a work, or no longer.
    pub async fn hold(&self, caller: &Caller, text: &str, held: bool, reason: &str) -> Result<(), Problem> {
        let work = self.resolve(caller, Action::ContentManage, text)?;
        self.execute(caller, Command::Hold { work, held, reason: reason.to_owned() }, None).await.map(drop)
    }
}

/// What a copy of the database is called until it is handed over.
const COPY: (&str, &str) = ("backup-", ".tmp");

/// Copies the database beside itself, so that the copy is consistent, and hands its bytes over.
fn copy_into(state: &Path, mut into: Outlet) -> Result<u64, Problem> {
    let random = crate::sys::random::bytes::<8>().map_err(Problem::internal)?;
    let beside = state.join(format!("{}{}{}", COPY.0, data_encoding::HEXLOWER.encode(&random), COPY.1));
    let source = open_reader(&state.join("ledger.db")).map_err(Problem::internal)?;
    let copied = backup::backup(&source, &beside, &|_, _| {}).map_err(|error| uncopied(state, &error));
    drop(source);
    let handed =
        copied.and_then(|events| hand_over(&beside, &mut into).map_err(|error| unwritten(&error)).map(|()| events));
    if let Err(error) = std::fs::remove_file(&beside) {
        tracing::warn!("{} could not be removed: {error}", beside.display());
    }
    handed
}

/// Why there is no copy beside the ledger: that is the state directory's disk, not the caller's.
fn uncopied(state: &Path, error: &backup::BackupError) -> Problem {
    let problem = unwritten(error);
    let message = problem.message.replacen("the file could", "the copy that a backup is made from could", 1);
    Problem { message, ..problem }.hint(format!(
        "the disk of the state directory is the one: a backup needs room for another ledger.db in {}, until it is handed over",
        state.display()
    ))
}

fn hand_over(copy: &Path, into: &mut Outlet) -> std::io::Result<()> {
    let mut copy = std::io::BufReader::with_capacity(PIECE, std::fs::File::open(copy)?);
    loop {
        let piece = copy.fill_buf()?;
        if piece.is_empty() {
            return into.finish();
        }
        into.write_all(piece)?;
        let taken = piece.len();
        copy.consume(taken);
    }
}

/// Removes copies that a daemon before this one did not hand over, because it was killed.
pub fn remove_copies(state: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(state)? {
        let entry = entry?;
        let name = entry.file_name();
        // A copy that was not whole may have a journal of its own.
        let is_copy = name.to_str().is_some_and(|name| name.starts_with(COPY.0) && name.contains(COPY.1));
        if is_copy && entry.file_type()?.is_file() {
            std::fs::remove_file(entry.path())?;
            tracing::info!("{} was left by a backup that did not end: removed", entry.path().display());
        }
    }
    Ok(())
}

pub(super) fn outlet(into: OwnedFd) -> Result<Outlet, Problem> {
    Outlet::new(into, PATIENCE).map_err(|error| {
        Problem::new(Code::InvalidDocument, error.to_string())
            .hint("give a file, a pipe or a socket that is open for writing")
    })
}

/// Why the caller did not get its file, down to what the system said.
fn unwritten(error: &(dyn std::error::Error + 'static)) -> Problem {
    let chain: Vec<_> = std::iter::successors(Some(error), |error| error.source()).collect();
    let says: Vec<String> = chain.iter().map(ToString::to_string).collect();
    let says = format!("the file could not be written: {}", says.join(": "));
    let system = chain.iter().find_map(|error| error.downcast_ref::<std::io::Error>());
    if system.is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut) {
        return Problem::new(Code::Busy, says).hint("read the pipe faster, or export into a file");
    }
    Problem::new(Code::DiskFull, says).hint(
        "see whether the disk that you write to is full, or the reader went away; the ledger's own disk is not meant",
    )
}

#[cfg(test)]
mod tests;
