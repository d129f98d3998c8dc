//! `agentctl ledger verify-proof`

use agentd_schemas::event::MAX_EVENT_BYTES;
use agentd_schemas::log::note::{Checkpoint, VerifierKey};
use agentd_schemas::log::tlog_proof::{MAX_PROOF_BYTES, TlogProof};

use crate::context::Context;
use crate::error::Failure;
use crate::{input, trust};

/// Check a proof of one event; needs no daemon
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl ledger verify-proof event.proof event.json --key log.vkey")]
pub(crate) struct Args {
    /// The proof, from `agentctl ledger prove`
    proof: String,
    /// The exact bytes of the event, from `agentctl ledger show EVENT --json`
    event: String,
    /// The log's key, or a file that holds it; from somebody you trust
    #[arg(long, value_name = "VKEY")]
    key: String,
}

impl Args {
    /// Runs the command.
    #[allow(clippy::unused_async, reason = "every command has this form")]
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let key = trust::key(&self.key)?;
        let text = input::text(&self.proof, MAX_PROOF_BYTES)?;
        let proof = TlogProof::parse(&text).map_err(|error| Failure::local(format!("{}: {error}", self.proof)))?;
        let event = input::read(&self.event, MAX_EVENT_BYTES + 1)?;
        let checkpoint = verify(&proof, &event, key)
            .map_err(|why| Failure::local(format!("{} does not prove {}: {why}", self.proof, self.event)))?;
        let root = data_encoding::BASE64.encode(&checkpoint.root.0);
        let view = serde_json::json!({
            "verified": true, "event": proof.index, "origin": checkpoint.origin, "size": checkpoint.size, "root": root,
        });
        context.out.show(&view, &[proof.index.to_string()], |out| {
            let (index, size, origin) = (proof.index, checkpoint.size, &checkpoint.origin);
            out.line(format!("verified: event {index} is in the log of {origin} at {size} events"))
        })
    }
}

/// Verifies with the exact bytes, or without the newline that a shell put at their end.
fn verify(proof: &TlogProof, event: &[u8], key: VerifierKey) -> Result<Checkpoint, String> {
    let keys = [key];
    let exact = proof.verify(event, &keys);
    let without = event.strip_suffix(b"\n").and_then(|event| proof.verify(event, &keys).ok());
    exact.or_else(|error| without.ok_or(error)).map_err(|error| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        text
    })
}
