//! `org.agentd1.Schedules`.

use std::sync::Arc;

use zbus::interface;
use zbus::message::Header;

use super::door::Door;
use super::refusal::{Result, json, read};
use super::works::optional;

/// Schedules.
pub(super) struct Schedules(pub(super) Arc<Door>);

#[interface(name = "org.agentd1.Schedules")]
impl Schedules {
    /// Adds a `ScheduleDocument`. Answers with a `ScheduleView`.
    async fn add(&self, document: &str, key: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        let schedule = read(document)?;
        json(&self.0.engine.add_schedule(&caller, schedule, None, optional(key), document.as_bytes()).await?)
    }

    /// Adds a `ScheduleDocument` that a file declares. Answers with a `ScheduleView`.
    async fn declare(
        &self,
        document: &str,
        file: &str,
        key: &str,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        let (schedule, body) = (read(document)?, document.as_bytes());
        json(&self.0.engine.add_schedule(&caller, schedule, Some(file), optional(key), body).await?)
    }

    /// Whether a `ScheduleDocument` would be taken.
    async fn check(&self, document: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.check_schedule(&caller, read(document)?).await?)
    }

    /// A list of `ScheduleView`.
    async fn list(&self, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.schedules(&caller)?)
    }

    /// The next ticks of a schedule, by name or id: a list of RFC 3339 times.
    async fn next(&self, schedule: &str, count: u32, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.next_ticks(&caller, schedule, count)?)
    }

    /// Skips ticks until resumed.
    async fn pause(&self, schedule: &str, reason: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.pause_schedule(&caller, schedule, reason).await?)
    }

    /// Goes on.
    async fn resume(&self, schedule: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.resume_schedule(&caller, schedule).await?)
    }

    /// Removes it; its works stay.
    async fn remove(&self, schedule: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.remove_schedule(&caller, schedule).await?)
    }
}
