//! Keys in the custody of owners: whose certificates are asked for, and the certificates.

use std::io;

use agentd_schemas::document::AgentDocument;
use agentd_schemas::document::request::KeyRotation;
use agentd_schemas::event::{Authority, Custody, KeyCertified};
use agentd_schemas::key::certificate::{Certificate, Expected};
use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::key::possession::PossessionKind;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;
use agentd_schemas::view::AgentView;

use super::agents::slug;
use crate::domain::Command;
use crate::engine::Engine;
use crate::engine::execute::absent;
use crate::identity::keystore::KeystoreError;
use crate::ledger::load;
use crate::ledger::query::named::Named;
use crate::ledger::writer::disk_full;
use crate::policy::{Action, Caller};

/// Who holds the key of an agent that agentd starts: agentd, under certificates of the owner where it says so.
pub(super) fn custody_of(document: &AgentDocument, owner_key: bool) -> Result<Custody, Problem> {
    let name = &document.name;
    let refused =
        |why: &str, hint: String| Err(Problem::new(Code::InvalidDocument, format!("agent {name} {why}")).hint(hint));
    match (document.custody.unwrap_or(if owner_key { Custody::Owner } else { Custody::Host }), owner_key) {
        (Custody::Resident, _) => refused(
            "has a command and custody resident",
            "agentd holds the key of what it starts: leave custody out".to_owned(),
        ),
        (Custody::Owner, false) => refused(
            "is to be in its owner's custody, and no key of the owner is given",
            format!("agentctl agent enroll --file {name}.toml --owner-key ~/.ssh/id_ed25519.pub"),
        ),
        (Custody::Host, true) => refused(
            "has custody host, and a key of the owner is given",
            "say custody = \"owner\", or leave out --owner-key".to_owned(),
        ),
        (custody, _) => Ok(custody),
    }
}

/// Why there is no key, for who asked for something that needs one: a disk without room is no defect.
pub(super) fn unmade(error: &KeystoreError) -> Problem {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    let first: &(dyn std::error::Error + 'static) = error;
    let mut chain = std::iter::successors(Some(first), |error| error.source());
    match chain.find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind) {
        Some(StorageFull | QuotaExceeded) => disk_full(),
        _ => Problem::internal(error),
    }
}

impl Engine {
    /// The owner's key of a new agent, whose possession is proved by a nonce that was given out for its name.
    pub(super) fn authority(
        &self,
        caller: &Caller,
        name: &Slug,
        key: &str,
        nonce: String,
        signature: String,
    ) -> Result<Authority, Problem> {
        let key = self.prove_possession(caller, PossessionKind::Authority, name, key, &nonce, &signature)?;
        Ok(Authority { public_key: key.to_string(), nonce, signature })
    }

    /// The rotation of a key that agentd holds: it makes the next one itself. None for an agent that holds its own.
    pub(super) fn rotation_of_held(&self, caller: &Caller, asked: &KeyRotation) -> Result<Option<Command>, Problem> {
        let name = &asked.name;
        let facts = self.0.readers.with(|conn| load::agents::facts(conn, name).map_err(Problem::internal))?;
        if !facts.is_some_and(|facts| facts.candidate.started) {
            return Ok(None);
        }
        let resource = self.0.readers.with(|conn| load::resource::agent(conn, name).map_err(Problem::internal))?;
        let resource = resource.ok_or_else(|| absent(&format!("agent {name}")))?;
        self.permit(caller, Action::AgentManage, &resource)?;
        if !asked.public_key.is_empty() {
            return Err(Problem::new(
                Code::InvalidDocument,
                format!("agentd holds the key of agent {name}, and makes the next"),
            )
            .hint(format!("agentctl agent rotate-key {name} --reason '…'")));
        }
        let key = self.supervisor()?.keys().make_next(name).map_err(|error| unmade(&error))?;
        let nonce = data_encoding::HEXLOWER.encode(&crate::sys::random::bytes::<16>().map_err(Problem::internal)?);
        let public_key = key.public_key();
        let possession = self.possession(PossessionKind::Rotate, name, &nonce, &public_key);
        let signature = possession.sign(&key).map_err(Problem::internal)?.to_string();
        let (agent, public_key, reason) = (name.clone(), public_key.to_string(), asked.reason.clone());
        Ok(Some(Command::RotateKey { agent, public_key, nonce, signature, reason }))
    }

    /// Takes a certificate by which the owner lets the agent's key sign for a while.
    pub async fn certify(&self, caller: &Caller, name: &str, certificate: &str) -> Result<AgentView, Problem> {
        let agent = slug(name)?;
        self.read(caller, Named::Agent(name))?;
        let certified = self.certified(&agent, certificate)?;
        let command = Command::CertifyKey { agent, certified: Box::new(certified) };
        self.execute(caller, command, None).await?;
        self.agent(caller, name)
    }

    /// Checks all that a certificate says against the agent as it is known now; the commit does so once more.
    fn certified(&self, agent: &Slug, certificate: &str) -> Result<KeyCertified, Problem> {
        let facts = self.0.readers.with(|conn| load::agents::facts(conn, agent).map_err(Problem::internal))?;
        let facts = facts.ok_or_else(|| Problem::new(Code::NotFound, format!("no agent {agent}")))?;
        let Some(authority) = &facts.authority else {
            return Err(Problem::new(Code::WrongState, format!("agent {agent} is not in its owner's custody"))
                .hint("its key signs without a certificate; custody is chosen when an agent is enrolled"));
        };
        let key: PublicKey = facts.public_key.parse().map_err(Problem::internal)?;
        let authority: PublicKey = authority.parse().map_err(Problem::internal)?;
        let host = self.host();
        let expected =
            Expected { key: &key, authority: &authority, name: agent.as_str(), trust_domain: &host.trust_domain };
        let read = certificate.parse::<Certificate>();
        let checked = read.and_then(|read| read.check(&expected, self.now()).map(|()| read));
        let certificate = checked.map_err(|error| {
            Problem::new(Code::InvalidDocument, format!("the certificate for agent {agent} is refused: {error}"))
                .hint(format!("agentctl agent certify {agent} shows how it is made"))
        })?;
        Ok(KeyCertified::of(&certificate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::key_files::SealError;
    use crate::sys::secret_file::SecretFileError;

    #[test]
    fn a_key_that_finds_no_room_is_a_full_disk_and_no_defect() {
        let of = |kind: io::ErrorKind| {
            let (action, path, source) = ("write", "keys/agents/h".into(), kind.into());
            unmade(&SealError::File(SecretFileError::Io { action, path, source }).into()).code
        };
        assert_eq!(of(io::ErrorKind::StorageFull), Code::DiskFull);
        assert_eq!(of(io::ErrorKind::QuotaExceeded), Code::DiskFull);
        assert_eq!(of(io::ErrorKind::PermissionDenied), Code::Internal);
    }
}
