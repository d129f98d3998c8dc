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
    Log(log::Args),
    /// Show one event in full
    Show(show::Args),
    Verify(verify::Args),
    Prove(prove::Args),
    /// Check a proof of one event; needs no daemon
    VerifyProof(verify_proof::Args),
    /// Write an export that anybody can verify
    Export(export::Args),
    Checkpoint(checkpoint::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Redact(redact::Args),
    /// Keep the content of a work from redaction and retention, or no longer
    Hold(hold::Args),
}

dispatch!(Command { Log Show Verify Prove VerifyProof Export Checkpoint Backup Restore Redact Hold });
