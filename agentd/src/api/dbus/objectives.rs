//! `org.agentd1.Objectives`.

use std::sync::Arc;

use zbus::interface;
use zbus::message::Header;

use super::door::Door;
use super::refusal::{Result, json, read};

/// Service-level objectives.
pub(super) struct Objectives(pub(super) Arc<Door>);

#[interface(name = "org.agentd1.Objectives")]
impl Objectives {
    /// Sets an `ObjectiveDocument`.
    async fn set(&self, document: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.set_objective(&caller, read(document)?).await?)
    }

    /// A list of `ObjectiveView`.
    async fn list(&self, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.objectives(&caller)?)
    }

    /// Removes it.
    async fn remove(&self, name: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.remove_objective(&caller, name).await?)
    }
}
