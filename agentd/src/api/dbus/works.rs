//! `org.agentd1.Works`.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use zbus::interface;
use zbus::message::Header;

use super::door::Door;
use super::refusal::{Result, json, read};

/// Works.
pub(super) struct Works(pub(super) Arc<Door>);

/// Empty stands for none.
pub(super) fn optional(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[interface(name = "org.agentd1.Works")]
impl Works {
    /// Submits one `WorkDocument`. Answers with a `SubmittedView`.
    async fn submit(&self, document: &str, key: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        let documents = vec![read(document)?];
        json(&self.0.engine.submit(&caller, documents, optional(key), document.as_bytes()).await?)
    }

    /// Submits a list of `WorkDocument`, all or nothing. Answers with a `SubmittedView`.
    async fn submit_many(&self, documents: &str, key: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        let list = read(documents)?;
        json(&self.0.engine.submit(&caller, list, optional(key), documents.as_bytes()).await?)
    }

    /// What a submit of this list would do; nothing is written.
    async fn check(&self, documents: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.check(&caller, read(documents)?).await?)
    }

    /// The works of a `WorkFilter`: a `WorkPage`.
    async fn list(&self, filter: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.works(&caller, &read(filter)?)?)
    }

    /// One work in full: a `WorkView`.
    async fn show(&self, work: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.work(&caller, work)?)
    }

    /// Why a work is where it is: a `WhyView`.
    async fn why(&self, work: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        self.0.engine.host_was_tried().await;
        json(&self.0.engine.why(&caller, work)?)
    }

    /// Calls it off. Answers with the whole id, as every method below.
    async fn cancel(&self, work: &str, reason: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.cancel(&caller, work, reason).await?.to_string())
    }

    /// One more attempt for a work that failed, expired or was cancelled.
    async fn retry(&self, work: &str, reason: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.retry(&caller, work, reason).await?.to_string())
    }

    /// Takes a result that waits for a person.
    async fn accept(&self, work: &str, note: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.accept(&caller, work, note).await?.to_string())
    }

    /// Refuses a result that waits for a person.
    async fn reject(&self, work: &str, reason: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.reject(&caller, work, reason).await?.to_string())
    }

    /// Raises the limits of a work: a `Raise`.
    async fn raise(&self, work: &str, raise: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.raise(&caller, work, read(raise)?).await?.to_string())
    }

    /// Adds a note.
    async fn note(&self, work: &str, text: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.note(&caller, work, text).await?.to_string())
    }

    /// Answers a run that waits for a person.
    async fn answer(&self, work: &str, text: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.answer(&caller, work, text).await?.to_string())
    }

    /// The exact bytes of a blob: log index and slot.
    async fn content(&self, event: u64, slot: u8, #[zbus(header)] header: Header<'_>) -> Result<Vec<u8>> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.content(&caller, event, slot)?)
    }

    /// Takes content for workspaces, `git` or `tar`, until the descriptor ends. Answers with an `UploadedView`.
    async fn upload(&self, from: zbus::OwnedFd, kind: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.upload(&caller, OwnedFd::from(from), kind).await?)
    }

    /// What the runs of a work made: a list of `ArtefactView`.
    async fn artefacts(&self, work: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.artefacts(&caller, work)?)
    }

    /// Writes an artefact into the descriptor. Answers with its SHA-256.
    async fn artefact(
        &self,
        work: &str,
        attempt: u32,
        name: &str,
        into: zbus::OwnedFd,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.artefact(&caller, work, attempt, name, OwnedFd::from(into)).await?)
    }

    /// A stretch of what the program of a run wrote: an `OutputView`.
    async fn output(
        &self,
        work: &str,
        attempt: u32,
        stream: &str,
        offset: u64,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.output(&caller, work, attempt, stream, offset).await?)
    }

    /// What runs used, summed up by a `CostFilter`: a list of `CostRow`.
    async fn cost(&self, filter: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.costs(&caller, read(filter)?).await?)
    }
}
