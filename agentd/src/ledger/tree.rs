//! The Merkle tree in the database: leaf hashes beside their events, complete nodes of level 8 and up in `nodes`.
//!
//! Nodes between are computed from at most 256 leaf hashes. Nothing here is believed because it is stored: recovery,
//! proofs and verification compare what they get with a signed root.

use agentd_schemas::log::tree::{Frontier, FrontierError, Hash, leaf_hash, node_hash};
use rusqlite::{Connection, OptionalExtension, params};

/// The lowest level that is stored: one node for 256 events.
pub const STORED_LEVEL: u8 = 8;
/// Events below one node of the lowest stored level.
pub const BLOCK: u64 = 1 << STORED_LEVEL;

/// Why a node of the tree cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The database failed.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored node is missing.
    #[error("node {index} of level {level} is missing")]
    NoNode {
        /// Its level.
        level: u8,
        /// Its place in the level.
        index: u64,
    },
    /// An event is missing.
    #[error("event {index} is missing")]
    NoEvent {
        /// Its index.
        index: u64,
    },
    /// The event was changed, or its leaf hash was.
    #[error("event {index}: its bytes do not give its leaf hash")]
    Leaf {
        /// Its index.
        index: u64,
    },
    /// The peaks do not fit the size.
    #[error(transparent)]
    Frontier(#[from] FrontierError),
}

/// Stores a complete node.
pub(super) fn store(tx: &Connection, level: u8, index: u64, hash: &Hash) -> rusqlite::Result<()> {
    let sql = "INSERT INTO nodes (level, idx, hash) VALUES (?1, ?2, ?3)";
    tx.prepare_cached(sql)?.execute(params![level, index, hash.0]).map(drop)
}

/// The complete nodes of a tree that does not grow meanwhile. Leaf hashes are read a block at a time. Two blocks are
/// kept: proofs of neighbours need their own block, and all of them the last one.
pub(super) struct Nodes<'c> {
    connection: &'c Connection,
    /// The block used last stands first.
    blocks: Vec<Block>,
}

/// A block of leaves and what is complete above them.
struct Block {
    number: u64,
    /// For each level below [`STORED_LEVEL`].
    levels: Vec<Vec<Hash>>,
}

impl<'c> Nodes<'c> {
    /// Nothing read yet.
    pub(super) const fn new(connection: &'c Connection) -> Self {
        Self { connection, blocks: Vec::new() }
    }

    /// A complete node: stored, or computed from the leaf hashes below it.
    pub(super) fn get(&mut self, level: u8, index: u64) -> Result<Hash, TreeError> {
        if level >= STORED_LEVEL {
            return stored(self.connection, level, index);
        }
        let number = index >> (STORED_LEVEL - level);
        let at = index - (number << (STORED_LEVEL - level));
        let levels = &self.block(number)?.levels;
        let node = levels.get(usize::from(level)).and_then(|nodes| nodes.get(usize::try_from(at).ok()?));
        let there = levels.first().map_or(0, |leaves| leaves.len() as u64);
        node.copied().ok_or(TreeError::NoEvent { index: number * BLOCK + there })
    }

    fn block(&mut self, number: u64) -> Result<&Block, TreeError> {
        let block = match self.blocks.iter().position(|block| block.number == number) {
            Some(at) => self.blocks.remove(at),
            None => self.load(number)?,
        };
        self.blocks.truncate(1);
        self.blocks.insert(0, block);
        Ok(&self.blocks[0])
    }

    /// Reads the leaf hashes of a block, as many as there are without a gap.
    fn load(&self, number: u64) -> Result<Block, TreeError> {
        let mut leaves = Vec::with_capacity(1 << STORED_LEVEL);
        let sql = "SELECT idx, leaf FROM events WHERE idx >= ?1 AND idx < ?2 ORDER BY idx";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![number * BLOCK, (number + 1) * BLOCK])?;
        for index in number * BLOCK.. {
            let Some(row) = rows.next()? else { break };
            if row.get::<_, u64>(0)? != index {
                break;
            }
            leaves.push(row.get(1).map(Hash).map_err(|_| TreeError::Leaf { index })?);
        }
        let mut levels = vec![leaves];
        for level in 1..usize::from(STORED_LEVEL) {
            levels.push(parents(&levels[level - 1]));
        }
        Ok(Block { number, levels })
    }
}

/// A node that is stored.
fn stored(connection: &Connection, level: u8, index: u64) -> Result<Hash, TreeError> {
    let sql = "SELECT hash FROM nodes WHERE level = ?1 AND idx = ?2";
    let hash = connection.prepare_cached(sql)?.query_row(params![level, index], |row| row.get(0)).optional()?;
    hash.map(Hash).ok_or(TreeError::NoNode { level, index })
}

/// The right-hand edge of the tree of `size` events: stored nodes, and the last events hashed again.
pub(super) fn frontier(connection: &Connection, size: u64) -> Result<Frontier, TreeError> {
    let whole = size - size % BLOCK;
    let levels = (STORED_LEVEL..64).rev().filter(|level| whole >> level & 1 == 1);
    let peaks = levels.map(|level| stored(connection, level, (whole >> level) - 1)).collect::<Result<Vec<_>, _>>()?;
    let mut frontier = Frontier::from_parts(whole, peaks)?;
    let sql = "SELECT idx, leaf, body FROM events WHERE idx >= ?1 AND idx < ?2 ORDER BY idx";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![whole, size])?;
    for index in whole..size {
        let row = rows.next()?.ok_or(TreeError::NoEvent { index })?;
        if row.get::<_, u64>(0)? != index {
            return Err(TreeError::NoEvent { index });
        }
        let leaf = leaf_hash(row.get_ref(2)?.as_bytes().map_err(rusqlite::Error::from)?);
        if row.get_ref(1)?.as_blob().ok() != Some(&leaf.0[..]) {
            return Err(TreeError::Leaf { index });
        }
        frontier.push(leaf);
    }
    Ok(frontier)
}

/// The parents of a row of nodes; the last one without a sibling has none yet.
pub(super) fn parents(nodes: &[Hash]) -> Vec<Hash> {
    nodes.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect()
}
