//! Following the log: the daemon's hint says that there is more, and the events are read from where we were.

use std::time::Duration;

use agentd_schemas::dbus::{AppendedStream, LedgerProxy};
use agentd_schemas::document::request::EventFilter;
use agentd_schemas::view::{EventView, PageOfEvents};
use futures_util::StreamExt;

use crate::context::{Context, document, read};
use crate::error::Failure;

/// Events of one page.
const PAGE: u32 = 500;
/// How long to go without a hint before looking all the same: hints are not promised.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to find a daemon that went away.
const AGAIN: Duration = Duration::from_secs(1);
/// Attempts to find a daemon that went away.
const ATTEMPTS: u32 = 60;

/// A place in the log, and the way to what comes after it.
pub(crate) struct Follower<'a> {
    context: &'a Context,
    next: u64,
    way: Way,
}

struct Way {
    ledger: LedgerProxy<'static>,
    hints: AppendedStream,
}

impl<'a> Follower<'a> {
    /// Follows from the log index `from` on.
    pub(crate) async fn from(context: &'a Context, from: u64) -> Result<Self, Failure> {
        let way = Way::open(context.ledger().await?).await?;
        Ok(Self { context, next: from, way })
    }

    /// Follows from now on.
    pub(crate) async fn from_now(context: &'a Context) -> Result<Self, Failure> {
        let ledger = context.ledger().await?;
        let newest = EventFilter { limit: Some(1), newest_first: true, ..EventFilter::default() };
        let page: PageOfEvents = read(&ledger.events(&document(&newest)?).await?)?;
        Self::from(context, page.size).await
    }

    /// Waits until there may be more, and gives what there is: perhaps nothing. Survives a restart of the daemon, where it
    /// is not dropped before it is over: who wants to look at something else meanwhile takes [`Self::more_within`].
    pub(crate) async fn more(&mut self) -> Result<Vec<EventView>, Failure> {
        self.more_within(PATIENCE).await
    }

    /// The same, which waits no longer than this for a daemon that is there.
    pub(crate) async fn more_within(&mut self, time: Duration) -> Result<Vec<EventView>, Failure> {
        let events = self.page().await;
        let events = match events {
            Err(failure) if failure.is_broken() => return self.again(failure).await,
            other => other?,
        };
        if !events.is_empty() {
            return Ok(events);
        }
        // An end of the stream is a connection that broke; the next page tells.
        if let Ok(None) = tokio::time::timeout(time.min(PATIENCE), self.way.hints.next()).await {
            tokio::time::sleep(AGAIN).await;
        }
        Ok(Vec::new())
    }

    async fn page(&mut self) -> Result<Vec<EventView>, Failure> {
        let page: PageOfEvents = read(&self.way.ledger.events_since(self.next, PAGE).await?)?;
        self.next = page.next.max(self.next);
        Ok(page.events)
    }

    async fn again(&mut self, failure: Failure) -> Result<Vec<EventView>, Failure> {
        self.context.out.note("agentd went away; waiting for it to come back");
        for _ in 0..ATTEMPTS {
            tokio::time::sleep(AGAIN).await;
            let Ok(reached) = self.context.anew(Some(crate::connect::CALL)).await else {
                continue;
            };
            self.way = Way::open(LedgerProxy::new(&reached.connection).await?).await?;
            self.context.out.note("agentd is back");
            return Ok(Vec::new());
        }
        Err(failure)
    }

    /// A way to ask about works that is as fresh as the way to the log.
    pub(crate) async fn works(&self) -> Result<agentd_schemas::dbus::WorksProxy<'static>, Failure> {
        Ok(agentd_schemas::dbus::WorksProxy::new(self.way.ledger.inner().connection()).await?)
    }
}

impl Way {
    async fn open(ledger: LedgerProxy<'static>) -> Result<Self, Failure> {
        let hints = ledger.receive_appended().await?;
        ledger.subscribe().await?;
        Ok(Self { ledger, hints })
    }
}
