//! What every command is given: where to write, and the way to the daemon, opened when it is first needed.

use std::time::Duration;

use agentd_schemas::dbus::{AgentsProxy, HostProxy, LedgerProxy, ObjectivesProxy, SchedulesProxy, WorksProxy};
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use crate::connect::{self, Reached};
use crate::error::Failure;
use crate::output::Output;

/// One invocation.
pub(crate) struct Context {
    /// Where answers go.
    pub(crate) out: Output,
    address: Option<String>,
    reached: OnceCell<Reached>,
    is_second: bool,
}

macro_rules! proxies {
    ($($(#[$doc:meta])* $name:ident -> $proxy:ident;)*) => {
        $($(#[$doc])*
        pub(crate) async fn $name(&self) -> Result<$proxy<'static>, Failure> {
            let connection = &self.reached().await?.connection;
            // Properties are read once if at all: no cache, no match rule.
            let builder = $proxy::builder(connection).cache_properties(zbus::proxy::CacheProperties::No);
            Ok(builder.build().await?)
        })*
    };
}

impl Context {
    /// An invocation that reaches the daemon at `address`, or wherever it is.
    pub(crate) fn new(out: Output, address: Option<String>) -> Self {
        let address = address.or_else(|| crate::ambient::text("AGENTD_ADDRESS"));
        Self { out, address, reached: OnceCell::new(), is_second: false }
    }

    /// Forgets the way to the daemon, for the second time that a command is run.
    pub(crate) fn afresh(&mut self) {
        self.reached = OnceCell::new();
        self.is_second = true;
    }

    /// Whether a command that only looks is run once more after this.
    pub(crate) fn is_asked_again(&self, failure: &Failure) -> bool {
        failure.is_cut() && !self.is_second
    }

    /// Whether the person said where the daemon is.
    pub(crate) fn has_address(&self) -> bool {
        self.address.is_some()
    }

    /// The way to the daemon.
    pub(crate) async fn reached(&self) -> Result<&Reached, Failure> {
        self.reached.get_or_try_init(|| connect::open(self.address.as_deref(), Some(connect::CALL))).await
    }

    /// A way of its own, with another patience: `None` waits for ever.
    pub(crate) async fn anew(&self, timeout: Option<Duration>) -> Result<Reached, Failure> {
        connect::open(self.address.as_deref(), timeout).await
    }

    proxies! {
        /// The host.
        host -> HostProxy;
        /// Works.
        works -> WorksProxy;
        /// Agents.
        agents -> AgentsProxy;
        /// Schedules.
        schedules -> SchedulesProxy;
        /// Objectives.
        objectives -> ObjectivesProxy;
        /// The ledger.
        ledger -> LedgerProxy;
    }
}

/// Reads an answer of the daemon.
pub(crate) fn read<T: DeserializeOwned>(answer: &str) -> Result<T, Failure> {
    serde_json::from_str(answer).map_err(|error| {
        Failure::local(format!("the answer of agentd is not understood: {error}"))
            .hint("agentctl doctor compares the versions")
    })
}

/// Writes a document for the daemon.
pub(crate) fn document<T: serde::Serialize>(document: &T) -> Result<String, Failure> {
    serde_json::to_string(document)
        .map_err(|error| Failure::usage(format!("cannot write the document as JSON: {error}")))
}
