//! The log, as persons read it: events, proofs, exports, backups.

use std::os::fd::OwnedFd;

use agentd_schemas::document::request::EventFilter;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::view::{HeadView, PageOfEvents};

use crate::domain::Command;
use crate::engine::Engine;
use crate::ledger::open::{empty_wal, open_reader, open_writer};
use crate::ledger::query::named::Named;
use crate::ledger::{backup, export, prove, query};
use crate::policy::{Action, Caller, Resource};

impl Engine {
    fn reads(&self, caller: &Caller) -> Result<(), Problem> {
        let action = if caller.viewer().all { Action::LedgerReadAll } else { Action::LedgerReadOwn };
        self.permit(caller, action, &Resource::host()).map(drop)
    }

    /// The newest checkpoint; it is kept for ever, because it is given out.
    pub async fn head(&self, caller: &Caller) -> Result<HeadView, Problem> {
        self.reads(caller)?;
        self.0.mailbox()?.keep_checkpoint().await?;
        self.0.readers.with(|conn| Ok(query::ledger::head(conn)?))
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
        self.0.mailbox()?.keep_checkpoint().await?;
        self.0.readers.with(|conn| Ok(prove::prove(conn, event).map_err(Problem::internal)?.to_string()))
    }

    /// Writes an export into a file of the caller's.
    pub async fn export(&self, caller: &Caller, into: OwnedFd, mine: bool, content: bool) -> Result<u64, Problem> {
        self.reads(caller)?;
        if !mine {
            let whole = self.permit(caller, Action::LedgerReadAll, &Resource::host());
            whole.map_err(|problem| problem.hint("export what is your own: agentctl ledger export --mine"))?;
        }
        self.0.mailbox()?.keep_checkpoint().await?;
        let owner = mine.then_some(caller.uid);
        let database = self.host().state.join("ledger.db");
        let exported_at = self.now();
        let task = tokio::task::spawn_blocking(move || {
            let conn = open_reader(&database).map_err(Problem::internal)?;
            let file = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::from(into));
            let exported = export::export(&conn, file, export::Wanted { owner, content, at: exported_at });
            exported.map(|exported| exported.events).map_err(written)
        });
        task.await.map_err(Problem::internal)?
    }

    /// Writes a consistent copy of the database into a file of the caller's.
    pub async fn backup(&self, caller: &Caller, into: OwnedFd) -> Result<u64, Problem> {
        self.permit(caller, Action::LedgerBackup, &Resource::host())?;
        self.0.mailbox()?.keep_checkpoint().await?;
        let state = self.host().state.clone();
        let task = tokio::task::spawn_blocking(move || copy_into(&state, std::fs::File::from(into)));
        task.await.map_err(Problem::internal)?
    }

    /// Erases content.
    pub async fn redact(&self, caller: &Caller, event: u64, slot: u8, reason: &str) -> Result<(), Problem> {
        let command = Command::Redact { event, slot, reason: reason.to_owned() };
        self.execute(caller, command, None).await?;
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

/// Copies the database beside itself, so that the copy is consistent, and hands its bytes over.
fn copy_into(state: &std::path::Path, mut into: std::fs::File) -> Result<u64, Problem> {
    let random = crate::sys::random::bytes::<8>().map_err(Problem::internal)?;
    let beside = state.join(format!("backup-{}.tmp", data_encoding::HEXLOWER.encode(&random)));
    let source = open_reader(&state.join("ledger.db")).map_err(Problem::internal)?;
    let copied = backup::backup(&source, &beside, &|_, _| {}).map_err(written).and_then(|events| {
        let mut copy = std::fs::File::open(&beside).map_err(written)?;
        std::io::copy(&mut copy, &mut into).map_err(written)?;
        into.sync_all().map_err(written)?;
        Ok(events)
    });
    if let Err(error) = std::fs::remove_file(&beside) {
        tracing::warn!("{} could not be removed: {error}", beside.display());
    }
    copied
}

fn written(error: impl std::fmt::Display) -> Problem {
    Problem::new(Code::DiskFull, format!("the file could not be written: {error}"))
        .hint("see whether its disk is full or its descriptor is open for writing")
}
