//! `agentctl agent rotate-key`

use std::path::{Path, PathBuf};

use agentd_schemas::document::request::KeyRotation;
use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::key::possession::PossessionKind;
use agentd_schemas::unit::name::Slug;
use agentd_schemas::view::AgentView;

use super::enroll::{Elsewhere, ask_to_sign};
use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::presence::govern;
use crate::{agent_key, command};

/// Give an agent a new key; the old one is not valid from then on
///
/// The new key takes the place of the old one on disk once agentd has accepted it. Where agentd holds the key, it makes the
/// new one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl agent rotate-key fixer --reason 'yearly'")]
pub(crate) struct Args {
    /// The agent
    name: Slug,
    /// Why; kept with the agent
    #[arg(long, short, value_name = "TEXT", value_parser = command::reason)]
    reason: String,
    /// The directory of the key
    #[arg(long, value_name = "DIR", conflicts_with = "public_key")]
    key_dir: Option<PathBuf>,
    #[command(flatten)]
    elsewhere: Elsewhere,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let view: AgentView = read(&context.agents().await?.show(self.name.as_str()).await?)?;
        if view.runtime.is_some() {
            return self.held_by_agentd(context, &view).await;
        }
        if let Some(file) = &self.elsewhere.public_key {
            let key = agent_key::load_public(file)?;
            return match self.elsewhere.proof()? {
                Some((nonce, signature)) => {
                    self.rotate(context, &key, nonce, signature).await?;
                    self.done(context)
                }
                None => ask_to_sign(context, PossessionKind::Rotate, &self.name, &key, file).await,
            };
        }
        let path = agent_key::path(&self.name, self.key_dir.as_deref())?;
        let fresh = path.with_extension("new");
        let (agents, host) = (context.agents().await?, context.host().await?);
        let key = agent_key::generate()?;
        agent_key::save(&key, &self.name, &fresh).map_err(|failure| {
            failure.hint("an earlier rotation did not end: see with `agentctl agent show` which key is valid")
        })?;
        let public = key.public_key();
        let challenge = agent_key::challenge(&agents, &host, PossessionKind::Rotate, &self.name, &public).await;
        let rotated = match challenge {
            Ok(challenge) => {
                let signature = agent_key::sign(&key, &challenge.message);
                self.rotate(context, &public, challenge.nonce, signature).await
            }
            Err(failure) => Err(failure),
        };
        match rotated {
            Ok(()) => {
                replace(&fresh, &path)?;
                self.done(context)
            }
            Err(failure) if failure.is_broken() => {
                Err(failure
                    .hint(format!("whether the key changed is not known; the new one is in {}", fresh.display())))
            }
            Err(failure) => {
                agent_key::discard(&fresh);
                Err(failure)
            }
        }
    }

    /// Agentd makes the new key.
    async fn held_by_agentd(&self, context: &Context, view: &AgentView) -> Result<(), Failure> {
        if self.key_dir.is_some() || self.elsewhere.public_key.is_some() {
            return Err(Failure::usage(format!("agentd holds the key of agent {}, and makes the next", self.name))
                .hint("leave out the key"));
        }
        let (name, reason) = (self.name.clone(), self.reason.clone());
        let (public_key, nonce, signature) = Default::default();
        let rotation = KeyRotation { name, public_key, nonce, signature, reason };
        govern::<_, ()>(context.agents().await?.inner(), "RotateKey", &(document(&rotation)?,)).await?;
        self.done(context)?;
        if view.authority.is_some() {
            context
                .out
                .hint(format!("it gets no work before its new key is certified: agentctl agent certify {}", self.name));
        }
        Ok(())
    }

    async fn rotate(
        &self,
        context: &Context,
        key: &PublicKey,
        nonce: String,
        signature: String,
    ) -> Result<(), Failure> {
        let (name, reason) = (self.name.clone(), self.reason.clone());
        let rotation = KeyRotation { name, public_key: key.to_string(), nonce, signature, reason };
        govern(context.agents().await?.inner(), "RotateKey", &(document(&rotation)?,)).await
    }

    fn done(&self, context: &Context) -> Result<(), Failure> {
        context.out.done("agent", self.name.as_str(), &format!("agent {} has a new key", self.name))?;
        if self.elsewhere.public_key.is_some() || self.key_dir.is_some() {
            context
                .out
                .note("an `agent serve` that reads its key from another file ends; start it again with the new key");
        }
        Ok(())
    }
}

/// The new key takes the place of the old one.
fn replace(fresh: &Path, path: &Path) -> Result<(), Failure> {
    let public = (agent_key::public_path(fresh), agent_key::public_path(path));
    for (from, to) in [(fresh.to_owned(), path.to_owned()), public] {
        std::fs::rename(&from, &to).map_err(|error| {
            Failure::file(&to, "write", &error).hint(format!("the key that is valid now is in {}", from.display()))
        })?;
    }
    Ok(())
}
