//! Who is who: the host's own keys, one-use nonces for proofs of possession, and the tokens of agents that gave one.
//!
//! Private keys never leave this room; tokens and nonces live in memory alone, so a restart asks for fresh proofs.

pub mod agent_keys;
pub mod challenge;
pub mod decoy;
pub mod kek;
pub mod key_files;
pub mod keystore;
mod shares;
pub mod token;
pub mod trust_domain;

pub use agent_keys::AgentKeys;
pub use challenge::Challenges;
pub use decoy::Decoys;
pub use kek::Keks;
pub use key_files::KeyFiles;
pub use keystore::HostKeys;
pub use token::Tokens;
