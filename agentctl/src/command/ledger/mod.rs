//! The ledger: reading it, proving from it, checking it, taking it away.

pub(crate) mod backup;
pub(crate) mod checkpoint;
pub(crate) mod export;
pub(crate) mod hold;
pub(crate) mod log;
pub(crate) mod prove;
pub(crate) mod redact;
pub(crate) mod restore;
pub(crate) mod show;
pub(crate) mod verify;
pub(crate) mod verify_proof;

/// What to do with the ledger.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show events, oldest first
    Log(log::Args),
    /// Show one event in full
    Show(show::Args),
    /// Verify the ledger of this host, an export, or a copy of the database
    Verify(verify::Args),
    /// Give a proof that one event is in the log, for anybody who has the log's key
    Prove(prove::Args),
    /// Check a proof of one event; needs no daemon
    VerifyProof(verify_proof::Args),
    /// Write an export that anybody can verify
    Export(export::Args),
    /// Give the newest signed checkpoint, to keep elsewhere
    Checkpoint(checkpoint::Args),
    /// Write a consistent copy of the database
    Backup(backup::Args),
    /// Make a state directory from a backup, as a new incarnation of the ledger
    Restore(restore::Args),
    /// Erase one piece of content for ever; the log goes on to prove the rest
    Redact(redact::Args),
    /// Keep the content of a work from redaction and retention, or no longer
    Hold(hold::Args),
}

dispatch!(Command { Log Show Verify Prove VerifyProof Export Checkpoint Backup Restore Redact Hold });
