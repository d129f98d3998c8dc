//! What doors call: one method per operation. Each reads or commits, and answers with a document of the schemas.

pub mod agents;
pub mod artefacts;
pub mod brief;
pub mod claims;
pub mod costs;
pub mod custody;
pub mod garbage;
pub mod host;
pub mod judge;
pub mod ledger;
pub mod measures;
pub mod outputs;
pub mod parked;
pub mod plans;
pub mod programs;
pub mod reload;
pub mod runs;
pub mod sessions;
pub mod speaking;
pub mod works;

use super::{Done, Engine, Inner};
use crate::ledger::load::repeated::{Repeated, repeated};
use crate::policy::Caller;
use agentd_schemas::problem::{Code, Problem};
use sha2::{Digest as _, Sha256};

/// An idempotency key, and the digest of what was asked under it.
type Key = (String, String);

impl Engine {
    /// What became of the same request when it came before. It is asked first: names and prefixes of a repeat may mean
    /// something else by now, or nothing.
    fn before(&self, caller: &Caller, key: Option<&Key>) -> Result<Option<Done>, Problem> {
        let Some(key) = key else { return Ok(None) };
        let found = self.0.readers.with(|conn| repeated(conn, &caller.actor, key).map_err(Problem::internal))?;
        match found {
            None => Ok(None),
            Some(Repeated::Same(events)) => Ok(Some(Done { events, repeated: true })),
            Some(Repeated::Other(problem)) => Err(problem),
        }
    }
}

impl Inner {
    /// An idempotency key with the keyed digest of the body it belongs to. Without the host's secret nobody can tell by
    /// trying what the body was, although the digest stays in the log for ever.
    fn keyed(&self, key: Option<&str>, operation: &str, body: &[u8]) -> Result<Option<Key>, Problem> {
        let Some(key) = key.filter(|key| !key.is_empty()) else { return Ok(None) };
        if key.len() > agentd_schemas::dbus::MAX_KEY_BYTES || key.chars().any(char::is_control) {
            return Err(Problem::new(Code::InvalidDocument, "the idempotency key is not usable")
                .hint(format!("at most {} bytes, without controls", agentd_schemas::dbus::MAX_KEY_BYTES)));
        }
        let said = Sha256::new().chain_update(operation).chain_update([0]).chain_update(body).finalize();
        let digest = Sha256::new().chain_update(&self.request_key).chain_update(said).finalize();
        Ok(Some((key.to_owned(), data_encoding::HEXLOWER.encode(&digest))))
    }
}

#[cfg(test)]
mod tests;
