//! The log format: leaves, tree, proofs, checkpoints, commitments.
