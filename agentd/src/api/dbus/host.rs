//! `org.agentd1.Host`.

use std::sync::Arc;

use agentd_schemas::unit::time::WallMs;
use zbus::interface;
use zbus::message::Header;

use super::door::Door;
use super::refusal::{Result, json, read};

/// The host.
pub(super) struct Host(pub(super) Arc<Door>);

#[interface(name = "org.agentd1.Host")]
impl Host {
    /// How the host is: a `StatusView`.
    async fn status(&self, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        self.0.engine.host_was_tried().await;
        json(&self.0.engine.status(&caller)?)
    }

    /// What the daemon found out about its host: `HostFindings`.
    async fn examine(&self, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        self.0.engine.host_was_tried().await;
        let mut findings = self.0.engine.examine(&caller)?;
        if self.0.engine.host().mode == "system" {
            findings.polkit = Some(super::polkit::finding().await);
        }
        json(&findings)
    }

    /// Proves that the caller is there for an action of polkit, where it would have to for what it is about to do.
    async fn prove_presence(&self, action: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.prove_presence(&caller, action).await?)
    }

    /// Holds the starts of a `Scope` and asks what runs there to stand still. Answers with a `FreezeReport`.
    async fn freeze(&self, scope: &str, reason: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.freeze(&caller, read(scope)?, reason).await?)
    }

    /// How the freeze of a `Scope` stands: a `FreezeReport`.
    async fn freeze_report(&self, scope: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.freeze_report(&caller, &read(scope)?)?)
    }

    /// Ends the freeze of a `Scope`.
    async fn thaw(&self, scope: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.thaw(&caller, read(scope)?).await?)
    }

    /// Lets wall-time triggers go on after a jump of the clock.
    async fn accept_clock(&self, reason: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.accept_clock(&caller, reason).await?)
    }

    /// Removes what runs left behind and nobody needs, or says what that is: a `GarbageView`.
    async fn collect_garbage(&self, dry_run: bool, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.collect_garbage(&caller, dry_run).await?)
    }

    /// What happened since a time in Unix milliseconds: a `DigestView`.
    async fn digest(&self, since_ms: i64, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.digest(&caller, WallMs::saturating(since_ms))?)
    }

    /// Money and tokens: a list of `AccountView`.
    async fn accounts(&self, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.accounts(&caller)?)
    }

    /// Sets the limits of an account: an `AccountLimit`.
    async fn set_account_limit(&self, limit: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.set_account_limit(&caller, read(limit)?).await?)
    }

    /// The policies in force: a `PoliciesView`.
    async fn policies(&self, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.show_policies(&caller)?)
    }

    /// Reads the host's policies again. Answers with a `PoliciesView`.
    async fn reload_policies(&self, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.reload_policies(&caller).await?)
    }

    /// What policy says to a `PolicyQuestion`: a `PolicyAnswer`.
    async fn explain_policy(&self, question: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.explain_policy(&caller, read(question)?).await?)
    }

    /// Version of the daemon.
    #[allow(clippy::unused_self, reason = "properties are methods")]
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// Trust domain.
    #[zbus(property(emits_changed_signal = "const"))]
    fn trust_domain(&self) -> String {
        self.0.engine.host().trust_domain.clone()
    }

    /// Path of the agents' door.
    #[zbus(property(emits_changed_signal = "const"))]
    fn agents_socket(&self) -> String {
        self.0.engine.host().agents_socket.display().to_string()
    }

    /// Path of the state directory.
    #[zbus(property(emits_changed_signal = "const"))]
    fn state_directory(&self) -> String {
        self.0.engine.host().state.display().to_string()
    }
}
