//! Inclusion and consistency proofs (RFC 6962, sections 2.1.1 and 2.1.2; verification as in RFC 9162, sections 2.1.3.2
//! and 2.1.4.2).
//!
//! Generation reads complete nodes through a closure, so it works over any store that keeps them; verification needs
//! nothing but its arguments.

use super::tree::{Hash, MAX_TREE_SIZE, bits_descending, empty_root, node_hash};

/// The most hashes that an inclusion proof can hold: the height of the largest tree.
pub const MAX_INCLUSION_HASHES: usize = 63;
/// The most hashes that a consistency proof can hold.
pub const MAX_CONSISTENCY_HASHES: usize = 126;

/// A proof that was refused, or a request for a proof that cannot exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// There is no such leaf.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    NoSuchLeaf {
        /// Leaf asked for.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The older tree is larger than the newer one.
    #[error("a tree of {older} leaves cannot be the beginning of a tree of {newer}")]
    Reversed {
        /// Leaves in the tree said to be older.
        older: u64,
        /// Leaves in the tree said to be newer.
        newer: u64,
    },
    /// A size beyond [`MAX_TREE_SIZE`].
    #[error("a tree of {size} leaves exceeds the limit of {MAX_TREE_SIZE}")]
    TooLarge {
        /// The size refused.
        size: u64,
    },
    /// More or fewer hashes than a proof between these trees has.
    #[error("the proof has a wrong number of hashes ({hashes})")]
    Length {
        /// Hashes given.
        hashes: usize,
    },
    /// The hashes do not lead to the newer (or only) root.
    #[error("the proof does not lead to the root")]
    Root,
    /// The hashes do not lead to the older root.
    #[error("the proof does not lead to the older root")]
    OlderRoot,
}

/// Failure to generate a proof: a bad request, or a failure of the caller's store.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError<E> {
    /// The request itself is refused.
    #[error(transparent)]
    Refused(#[from] ProofError),
    /// The store could not give a node.
    #[error("node {index} of level {level} could not be read")]
    Node {
        /// Level of the node, 0 for leaves.
        level: u8,
        /// Index within the level.
        index: u64,
        /// What the store said.
        source: E,
    },
}

/// The inclusion proof of leaf `index` in the tree of `size` leaves, from the leaf's sibling upwards. `node(level,
/// index)` gives hashes of complete nodes, level 0 being the leaves; only nodes within `size` are asked for.
pub fn prove_inclusion<E>(
    index: u64,
    size: u64,
    mut node: impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, GenerateError<E>> {
    bounded(size)?;
    if index >= size {
        return Err(ProofError::NoSuchLeaf { index, size }.into());
    }
    let (mut start, mut len, mut path) = (0, size, Vec::new());
    while len > 1 {
        let left = split(len);
        if index - start < left {
            path.push(range_root(start + left, len - left, &mut node)?);
            len = left;
        } else {
            path.push(range_root(start, left, &mut node)?);
            (start, len) = (start + left, len - left);
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `older` leaves is the beginning of the tree of `newer`. Empty when the sizes are equal or
/// the older tree is empty. `node` is as for [`prove_inclusion`].
pub fn prove_consistency<E>(
    older: u64,
    newer: u64,
    mut node: impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, GenerateError<E>> {
    bounded(newer)?;
    if older > newer {
        return Err(ProofError::Reversed { older, newer }.into());
    }
    if older == 0 {
        return Ok(Vec::new());
    }
    let (mut start, mut len, mut path) = (0, newer, Vec::new());
    // The range always holds the older tree's last leaf; it is done when both end at the same leaf.
    while older - start < len {
        let left = split(len);
        if older - start <= left {
            path.push(range_root(start + left, len - left, &mut node)?);
            len = left;
        } else {
            path.push(range_root(start, left, &mut node)?);
            (start, len) = (start + left, len - left);
        }
    }
    // A verifier knows the older root; it must be told of the last range unless that is the older tree itself.
    if start > 0 {
        path.push(range_root(start, len, &mut node)?);
    }
    path.reverse();
    Ok(path)
}

/// Checks that the leaf with hash `leaf` is at `index` in the tree of `size` leaves with this `root`.
pub fn verify_inclusion(index: u64, size: u64, leaf: &Hash, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if *root == root_from_inclusion(index, size, leaf, proof)? { Ok(()) } else { Err(ProofError::Root) }
}

/// The root that an inclusion proof leads to: what [`verify_inclusion`] compares.
pub fn root_from_inclusion(index: u64, size: u64, leaf: &Hash, proof: &[Hash]) -> Result<Hash, ProofError> {
    bounded(size)?;
    if index >= size {
        return Err(ProofError::NoSuchLeaf { index, size });
    }
    let length = ProofError::Length { hashes: proof.len() };
    if proof.len() > MAX_INCLUSION_HASHES {
        return Err(length);
    }
    let mut walk = Walk { at: index, last: size - 1 };
    let mut hash = *leaf;
    for sibling in proof {
        hash = match walk.step().ok_or(length)? {
            Side::Left => node_hash(sibling, &hash),
            Side::Right => node_hash(&hash, sibling),
        };
    }
    if walk.last == 0 { Ok(hash) } else { Err(length) }
}

/// Checks that the tree of `older` leaves with root `older_root` is the beginning of the tree of `newer` leaves with
/// root `newer_root`.
pub fn verify_consistency(
    older: u64,
    newer: u64,
    older_root: &Hash,
    newer_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    bounded(newer)?;
    let length = ProofError::Length { hashes: proof.len() };
    if older > newer {
        return Err(ProofError::Reversed { older, newer });
    }
    if older == 0 || older == newer {
        return match (proof.is_empty(), older) {
            (false, _) => Err(length),
            (true, 0) if *older_root != empty_root() => Err(ProofError::OlderRoot),
            (true, 0) if newer > 0 => Ok(()),
            (true, _) => {
                if older_root == newer_root {
                    Ok(())
                } else {
                    Err(ProofError::Root)
                }
            }
        };
    }
    if proof.len() > MAX_CONSISTENCY_HASHES {
        return Err(length);
    }
    // An older tree that is one complete node is its own first hash; otherwise the proof carries it.
    let (first, rest) = match proof {
        hashes if older.is_power_of_two() => (older_root, hashes),
        [first, rest @ ..] => (first, rest),
        [] => return Err(length),
    };
    let skip = (older - 1).trailing_ones();
    let mut walk = Walk { at: (older - 1) >> skip, last: (newer - 1) >> skip };
    let (mut old, mut new) = (*first, *first);
    for sibling in rest {
        match walk.step().ok_or(length)? {
            Side::Left => (old, new) = (node_hash(sibling, &old), node_hash(sibling, &new)),
            Side::Right => new = node_hash(&new, sibling),
        }
    }
    match () {
        () if walk.last != 0 => Err(length),
        () if old != *older_root => Err(ProofError::OlderRoot),
        () if new != *newer_root => Err(ProofError::Root),
        () => Ok(()),
    }
}

/// Which side of the path the next hash of a proof stands on.
enum Side {
    Left,
    Right,
}

/// The way from a leaf to the root: the position on a level and the last position of that level.
struct Walk {
    at: u64,
    last: u64,
}

impl Walk {
    /// Goes up over one hash of the proof; none is left when the root is reached.
    fn step(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.at & 1 == 1 || self.at == self.last {
            // The last node of a level has no right sibling: it rises until it is somebody's right child.
            let lone = self.at.trailing_zeros();
            self.at >>= lone;
            self.last >>= lone;
            Side::Left
        } else {
            Side::Right
        };
        self.at >>= 1;
        self.last >>= 1;
        Some(side)
    }
}

fn bounded(size: u64) -> Result<(), ProofError> {
    if size > MAX_TREE_SIZE { Err(ProofError::TooLarge { size }) } else { Ok(()) }
}

/// The largest power of two below `len`; `len` is at least 2.
fn split(len: u64) -> u64 {
    1 << (len - 1).ilog2()
}

/// The root over `len` leaves from `start`, where `start` is a multiple of a power of two that is at least `len`.
fn range_root<E>(
    start: u64,
    len: u64,
    node: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Hash, GenerateError<E>> {
    let mut peaks = Vec::with_capacity(len.count_ones() as usize);
    let mut at = start;
    for level in bits_descending(len) {
        #[allow(clippy::cast_possible_truncation)] // A level is below 64.
        let level = level as u8;
        let index = at >> level;
        peaks.push(node(level, index).map_err(|source| GenerateError::Node { level, index, source })?);
        at += 1 << level;
    }
    Ok(peaks.into_iter().rev().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root))
}

#[cfg(test)]
mod tests;
