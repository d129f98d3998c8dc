//! `org.agentd1.Agents`.

use std::sync::Arc;

use zbus::interface;
use zbus::message::Header;

use super::door::Door;
use super::refusal::{Result, json, read};
use super::works::optional;

/// Agents.
pub(super) struct Agents(pub(super) Arc<Door>);

#[interface(name = "org.agentd1.Agents")]
impl Agents {
    /// A one-use nonce for a possession proof of this name.
    async fn challenge(&self, name: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.challenge(&caller, name)?)
    }

    /// Takes in an agent: an `Enrolment`. Answers with an `AgentView`.
    async fn enroll(&self, enrolment: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.enrol(&caller, read(enrolment)?).await?)
    }

    /// Takes in an agent that agentd starts: a `ProgramEnrolment`. Answers with an `AgentView`.
    async fn enroll_program(&self, enrolment: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.enrol_program(&caller, read(enrolment)?).await?)
    }

    /// Gives an agent another program: a `ProgramEnrolment`. Answers with an `AgentView`.
    async fn set_program(&self, enrolment: &str, reason: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.set_program(&caller, read(enrolment)?, reason).await?)
    }

    /// Whether a `ProgramEnrolment` would be taken.
    async fn check(&self, enrolment: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.check_program(&caller, read(enrolment)?)?)
    }

    /// A list of `AgentRow`.
    async fn list(&self, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.agents(&caller)?)
    }

    /// One agent in full: an `AgentView`.
    async fn show(&self, name: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.agent(&caller, name)?)
    }

    /// Changes the state: `activate`, `probation`, `pause`, `resume`, `suspend` or `retire`.
    async fn set_state(&self, name: &str, state: &str, reason: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.set_agent_state(&caller, name, state, reason).await?)
    }

    /// Says what the agent can do: a list of skills.
    async fn declare_skills(&self, name: &str, skills: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.declare_skills(&caller, name, read(skills)?).await?)
    }

    /// Gives the agent a new key: a `KeyRotation`.
    async fn rotate_key(&self, rotation: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.rotate_key(&caller, read(rotation)?).await?)
    }

    /// Takes a certificate of the owner for the agent's key. Answers with an `AgentView`.
    async fn certify(&self, name: &str, certificate: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.certify(&caller, name, certificate).await?)
    }

    /// The key is not valid from now on.
    async fn revoke_key(&self, name: &str, reason: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.revoke_key(&caller, name, reason).await?)
    }

    /// Runs, newest first: a list of `HistoryRow`.
    async fn history(&self, name: &str, before: u64, limit: u32, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.history(&caller, name, before, limit)?)
    }

    /// Binds a model: a `ModelBinding`, or empty for none. Answers with the epoch.
    async fn set_model(
        &self,
        name: &str,
        binding: &str,
        reason: &str,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<u32> {
        let caller = self.0.enter(&header).await?;
        let binding = optional(binding).map(read).transpose()?;
        Ok(self.0.engine.set_model(&caller, name, binding, reason).await?)
    }

    /// Model epochs, oldest first: a list of `EpochView`.
    async fn model_history(&self, name: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.model_history(&caller, name)?)
    }
}
