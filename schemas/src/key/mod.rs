//! Key, signature and statement formats: what an agent's key looks like, and what it signs.
//!
//! Everything here is bytes in and bytes out. Seeds and nonces arrive as arguments, nothing touches a file, and nothing
//! knows who an agent is or what a key may do.
//!
//! Invariant: Ed25519 is the only algorithm, every signature is verified strictly against a key that the caller names,
//! and each kind of signed text begins differently (`DSSEv1`, `SSHSIG`, `agentd-possession-v1`,
//! `agentd-host-key-v1`), so that a signature
//! made for one purpose is none for another.

pub mod certificate;
pub mod dsse;
pub mod host_key;
pub mod openssh;
pub mod possession;
pub mod sshsig;
pub mod statement;

mod armor;
mod object;
mod wire;

#[cfg(test)]
mod interop;
