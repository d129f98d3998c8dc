//! The Merkle tree of RFC 6962, section 2.1, built from the left by its right-hand edge alone.
//!
//! A node is named by (level, index): level 0 are the leaves, and node (l, i) covers the leaves
//! `i * 2^l .. (i + 1) * 2^l`. Only complete nodes are ever reported or stored; they never change again.

use sha2::{Digest, Sha256};

pub use super::hex::HexError;
use super::hex::hex_bytes;

hex_bytes! {
    /// A SHA-256 tree hash: 32 bytes, hex in text and JSON.
    Hash
}

/// The largest tree size spoken of anywhere in this format: what fits a signed 64-bit integer.
pub const MAX_TREE_SIZE: u64 = i64::MAX as u64;

/// The hash of one leaf: SHA-256(0x00 ‖ bytes).
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(bytes).finalize().into())
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [1; 65];
    input[1..33].copy_from_slice(&left.0);
    input[33..].copy_from_slice(&right.0);
    Hash(Sha256::digest(input).into())
}

/// The root of the tree with no leaves: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// Why a frontier was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrontierError {
    /// The number of peaks is not the number of one bits of the size.
    #[error("a tree of {size} leaves has {} peaks, not {peaks}", size.count_ones())]
    Peaks {
        /// Leaves claimed.
        size: u64,
        /// Hashes given.
        peaks: usize,
    },
    /// The tree would be larger than [`MAX_TREE_SIZE`].
    #[error("a tree of {size} leaves and {more} more exceeds the limit of {MAX_TREE_SIZE}")]
    TooLarge {
        /// Leaves already there.
        size: u64,
        /// Leaves to be added.
        more: u64,
    },
    /// A complete subtree of this level cannot begin at this leaf.
    #[error("a subtree of level {level} cannot begin at leaf {size}: {size} is no multiple of 2^{level}")]
    Misaligned {
        /// Leaves already there.
        size: u64,
        /// Level of the subtree.
        level: u8,
    },
}

/// The right-hand edge of a tree: its size and the roots of the complete subtrees it splits into, one for each one bit
/// of the size. That is all that appending and computing the root need. Holds its hashes in place; pushing allocates
/// nothing.
#[derive(Clone)]
pub struct Frontier {
    size: u64,
    /// `peaks[l]` is meaningful where bit `l` of `size` is set.
    peaks: [Hash; 64],
}

impl Default for Frontier {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Frontier {
    fn eq(&self, other: &Self) -> bool {
        self.size == other.size && self.levels().all(|l| self.peaks[l] == other.peaks[l])
    }
}

impl Eq for Frontier {}

impl std::fmt::Debug for Frontier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frontier").field("size", &self.size).field("peaks", &self.peaks()).finish()
    }
}

impl Frontier {
    /// The empty tree.
    pub const fn new() -> Self {
        Self { size: 0, peaks: [Hash([0; 32]); 64] }
    }

    /// A frontier from what [`Frontier::size`] and [`Frontier::peaks`] gave.
    pub fn from_parts(size: u64, peaks: Vec<Hash>) -> Result<Self, FrontierError> {
        if size > MAX_TREE_SIZE {
            return Err(FrontierError::TooLarge { size: 0, more: size });
        }
        if peaks.len() != size.count_ones() as usize {
            return Err(FrontierError::Peaks { size, peaks: peaks.len() });
        }
        let mut frontier = Self { size, ..Self::new() };
        for (level, peak) in bits_descending(size).zip(peaks) {
            frontier.peaks[level] = peak;
        }
        Ok(frontier)
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, from left to right, that is from the largest to the smallest.
    pub fn peaks(&self) -> Vec<Hash> {
        self.levels().map(|l| self.peaks[l]).collect()
    }

    /// The root over all leaves so far; [`empty_root`] when there are none.
    pub fn root(&self) -> Hash {
        let mut levels = bits_ascending(self.size);
        let Some(lowest) = levels.next() else {
            return empty_root();
        };
        levels.fold(self.peaks[lowest], |right, l| node_hash(&self.peaks[l], &right))
    }

    /// Appends one leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        self.push_with(leaf, &mut |_, _, _| {});
    }

    /// Appends one leaf hash and reports every inner node (level ≥ 1, index in its level) that it completes, lowest
    /// first. The leaf itself is not reported.
    pub fn push_with(&mut self, leaf: Hash, completed: &mut impl FnMut(u8, u64, Hash)) {
        self.carry(0, leaf, completed);
    }

    /// Appends the root of a complete subtree of `2^level` leaves. Refused where such a subtree cannot begin.
    pub fn append_subtree(&mut self, level: u8, root: Hash) -> Result<(), FrontierError> {
        if level >= 63 {
            return Err(FrontierError::TooLarge { size: self.size, more: u64::MAX });
        }
        let leaves = 1_u64 << level;
        if !self.size.is_multiple_of(leaves) {
            return Err(FrontierError::Misaligned { size: self.size, level });
        }
        if self.size.saturating_add(leaves) > MAX_TREE_SIZE {
            return Err(FrontierError::TooLarge { size: self.size, more: leaves });
        }
        self.carry(level, root, &mut |_, _, _| {});
        Ok(())
    }

    /// Appends a run of leaves that was folded apart from this tree, on another thread for instance. The run must begin
    /// at a multiple of the power of two that its own size rounds up to; its largest peak must fit here. When refused,
    /// the tree is as before.
    pub fn append(&mut self, run: &Frontier) -> Result<(), FrontierError> {
        let mut joined = self.clone();
        for level in run.levels() {
            #[allow(clippy::cast_possible_truncation)] // A level is below 64.
            joined.append_subtree(level as u8, run.peaks[level])?;
        }
        *self = joined;
        Ok(())
    }

    /// Binary addition of `2^level` to the size, hashing at each carry. The caller has checked alignment.
    fn carry(&mut self, level: u8, root: Hash, completed: &mut impl FnMut(u8, u64, Hash)) {
        let (mut at, mut hash) = (level, root);
        while self.size >> at & 1 == 1 {
            hash = node_hash(&self.peaks[usize::from(at)], &hash);
            at += 1;
            completed(at, self.size >> at, hash);
        }
        self.peaks[usize::from(at)] = hash;
        self.size += 1 << level;
    }

    fn levels(&self) -> impl Iterator<Item = usize> + use<> {
        bits_descending(self.size)
    }
}

/// Positions of the one bits, from the highest.
pub(super) fn bits_descending(size: u64) -> impl Iterator<Item = usize> {
    (0..64).rev().filter(move |l| size >> l & 1 == 1)
}

fn bits_ascending(size: u64) -> impl Iterator<Item = usize> {
    (0..64).filter(move |l| size >> l & 1 == 1)
}

#[cfg(test)]
pub(super) mod tests;
