//! `org.agentd1.Ledger`.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use agentd_schemas::problem::{Code, Problem};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, interface};

use super::door::Door;
use super::refusal::{Result, json, read};

/// The ledger.
pub(super) struct Ledger(pub(super) Arc<Door>);

#[interface(name = "org.agentd1.Ledger")]
impl Ledger {
    /// The newest checkpoint: a `HeadView`. It is kept for ever.
    async fn head(&self, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.head(&caller).await?)
    }

    /// The events of an `EventFilter`: a `PageOfEvents`.
    async fn events(&self, filter: &str, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.events(&caller, &read(filter)?)?)
    }

    /// Events from a log index on: a `PageOfEvents`.
    async fn events_since(&self, since: u64, limit: u32, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        json(&self.0.engine.events_since(&caller, since, limit)?)
    }

    /// Proof of one event in `c2sp.org/tlog-proof@v1` form.
    async fn prove(&self, event: u64, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.prove(&caller, event).await?)
    }

    /// Writes an export into the descriptor. Answers with the number of events.
    async fn export(
        &self,
        into: zbus::OwnedFd,
        mine: bool,
        content: bool,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<u64> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.export(&caller, OwnedFd::from(into), mine, content).await?)
    }

    /// Writes a consistent copy of the database into the descriptor. Answers with the number of events.
    async fn backup(&self, into: zbus::OwnedFd, #[zbus(header)] header: Header<'_>) -> Result<u64> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.backup(&caller, OwnedFd::from(into)).await?)
    }

    /// Erases content: one slot of one event.
    async fn redact(&self, event: u64, slot: u8, reason: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.redact(&caller, event, slot, reason).await?)
    }

    /// Keeps the content of a work from redaction and retention, or no longer.
    async fn hold(&self, work: &str, held: bool, reason: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let caller = self.0.enter(&header).await?;
        Ok(self.0.engine.hold(&caller, work, held, reason).await?)
    }

    /// Asks for the `Appended` signal on this connection.
    async fn subscribe(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<()> {
        self.0.enter(&header).await?;
        let follower = match (self.0.is_bus(), header.sender()) {
            (false, _) => None,
            (true, Some(sender)) => Some(sender.to_owned().into()),
            (true, None) => return Err(Problem::new(Code::Unauthenticated, "the message has no sender").into()),
        };
        Ok(self.0.followers.add(connection, self.0.engine.size(), follower)?)
    }

    /// A hint: the log has at least this many events; read them with `EventsSince`.
    #[zbus(signal)]
    pub(super) async fn appended(emitter: &SignalEmitter<'_>, size: u64) -> zbus::Result<()>;
}
