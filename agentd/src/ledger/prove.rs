//! Proofs out of the stored tree: that an event is in the log, and that an older log is the beginning of this one.
//!
//! A proof leaves only after it was followed to the root of the signed head, so that a damaged node gives an error and
//! never a proof that somebody else finds wanting.

use agentd_schemas::log::note::{Checkpoint, NoteError, SignedNote};
use agentd_schemas::log::proof::{
    GenerateError, ProofError, prove_consistency, prove_inclusion, verify_consistency, verify_inclusion,
};
use agentd_schemas::log::tlog_proof::TlogProof;
use agentd_schemas::log::tree::{Hash, leaf_hash};
use rusqlite::{Connection, OptionalExtension};

use super::checkpoint;
use super::tree::{self, Nodes, TreeError};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The database failed.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Nothing was ever written.
    #[error("the log has no events yet")]
    Empty,
    /// The request is for more than there is.
    #[error(transparent)]
    Refused(ProofError),
    /// Something that the proof needs is missing or unreadable.
    #[error("the ledger is damaged: {0}; verify it to find every fault")]
    Tree(#[from] TreeError),
    /// The head is unreadable.
    #[error("the ledger is damaged: the head: {0}; verify it to find every fault")]
    Head(#[from] NoteError),
    /// The stored tree does not lead to the signed root.
    #[error(
        "the ledger is damaged: the proof of {what} does not lead to the signed root; verify it to find every fault"
    )]
    Broken {
        /// What was to be proved.
        what: String,
    },
}

impl From<GenerateError<TreeError>> for ProveError {
    fn from(error: GenerateError<TreeError>) -> Self {
        match error {
            GenerateError::Refused(error) => Self::Refused(error),
            GenerateError::Node { source, .. } => Self::Tree(source),
        }
    }
}

/// The proof that a log is the beginning of a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    /// Events of the older log.
    pub older: u64,
    /// Root of the older log.
    pub older_root: Hash,
    /// The proof (RFC 6962, section 2.1.2).
    pub hashes: Vec<Hash>,
    /// The later log: the head.
    pub checkpoint: SignedNote,
}

/// The signed head with what it says.
pub fn head(connection: &Connection) -> Result<(SignedNote, Checkpoint), ProveError> {
    let head = checkpoint::head(connection)?.ok_or(ProveError::Empty)?;
    let note = SignedNote::parse(&head.note)?;
    let checkpoint = Checkpoint::from_text(note.text())?;
    Ok((note, checkpoint))
}

/// Proves that the event is in the log, up to the head. As text (`to_string`) it travels alone: `c2sp.org/tlog-proof@v1`.
pub fn prove(connection: &Connection, index: u64) -> Result<TlogProof, ProveError> {
    let (note, head) = head(connection)?;
    let hashes = inclusion(&mut Nodes::new(connection), connection, index, &head)?;
    Ok(TlogProof { extra: None, index, hashes, checkpoint: note })
}

/// The inclusion proof of the event under `checkpoint`, which is of this log; `nodes` may have served for others.
pub(super) fn inclusion(
    nodes: &mut Nodes<'_>,
    connection: &Connection,
    index: u64,
    checkpoint: &Checkpoint,
) -> Result<Vec<Hash>, ProveError> {
    let hashes = prove_inclusion(index, checkpoint.size, |level, at| nodes.get(level, at))?;
    let leaf = leaf_of(connection, index)?;
    verify_inclusion(index, checkpoint.size, &leaf, &hashes, &checkpoint.root)
        .map_err(|_| ProveError::Broken { what: format!("event {index}") })?;
    Ok(hashes)
}

/// Proves that the first `older` events are the beginning of the log as it is now.
pub fn consistency(connection: &Connection, older: u64) -> Result<Consistency, ProveError> {
    let (note, head) = head(connection)?;
    let mut nodes = Nodes::new(connection);
    let hashes = prove_consistency(older, head.size, |level, at| nodes.get(level, at))?;
    let older_root = tree::frontier(connection, older)?.root();
    verify_consistency(older, head.size, &older_root, &head.root, &hashes)
        .map_err(|_| ProveError::Broken { what: format!("the first {older} events") })?;
    Ok(Consistency { older, older_root, hashes, checkpoint: note })
}

/// The leaf hash of the event's stored bytes, whatever leaf hash stands beside them.
fn leaf_of(connection: &Connection, index: u64) -> Result<Hash, ProveError> {
    let sql = "SELECT body FROM events WHERE idx = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok(leaf_hash(row.get_ref(0)?.as_bytes()?));
    let leaf = connection.prepare_cached(sql)?.query_row([index], read).optional()?;
    leaf.ok_or(ProveError::Tree(TreeError::NoEvent { index }))
}

#[cfg(test)]
mod tests;
