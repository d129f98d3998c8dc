//! `agentctl ledger redact`

use agentd_schemas::dbus::LedgerProxy;
use agentd_schemas::document::request::{EventFilter, MAX_PAGE};
use agentd_schemas::event::EventData;
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::PageOfEvents;

use crate::command;
use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::presence::govern;
use crate::story::{self, Told};

/// Erase one piece of content for ever; the log goes on to prove the rest
///
/// The event stays, with its commitment; the content and its salt are gone. Backups and exports made before still hold
/// them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  agentctl log @ --indexes\n  agentctl ledger show 17\n  agentctl ledger redact 17 0 --reason 'held a password'"
)]
pub(crate) struct Args {
    /// Index of the event in the log
    event: u64,
    /// Which of its contents, from 0
    slot: u8,
    /// Why; kept in the log
    #[arg(long, short, value_name = "TEXT", value_parser = command::reason)]
    reason: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let ledger = context.ledger().await?;
        let erasures = erasures(&ledger, self.event).await?;
        let before = erasures.iter().find(|erased| erased.slot == self.slot);
        govern::<_, ()>(ledger.inner(), "Redact", &(self.event, self.slot, &self.reason)).await?;
        let content = format!("content {} of event {}", self.slot, self.event);
        let words = match before {
            Some(Erased { by: index, time: Some(time), .. }) => {
                format!("{content} was erased already, {}: event {index}", context.out.time(*time))
            }
            Some(Erased { by: index, .. }) => format!("{content} was erased already: event {index}"),
            None => format!("erased {content}"),
        };
        context.out.done("event", &self.event.to_string(), &words)
    }
}

/// One erasure.
pub(super) struct Erased {
    /// Which content.
    pub(super) slot: u8,
    /// The event that says so.
    pub(super) by: u64,
    /// When.
    time: Option<WallMs>,
    /// Why.
    pub(super) reason: String,
}

/// What was erased of the content of an event.
pub(super) async fn erasures(ledger: &LedgerProxy<'_>, of: u64) -> Result<Vec<Erased>, Failure> {
    let event_type = Some("ContentRedacted".to_owned());
    let mut filter = EventFilter { event_type, since: of, limit: Some(MAX_PAGE), ..EventFilter::default() };
    let mut found = Vec::new();
    loop {
        let page: PageOfEvents = read(&ledger.events(&document(&filter)?).await?)?;
        let told = page.events.iter().filter_map(|event| story::tell(&event.body));
        found.extend(told.filter_map(|told| erased(told, of)));
        if page.events.is_empty() || page.next >= page.size || page.next <= filter.since {
            return Ok(found);
        }
        filter.since = page.next;
    }
}

fn erased(told: Told, of: u64) -> Option<Erased> {
    match told.event?.data {
        EventData::ContentRedacted(data) if data.event == of => {
            Some(Erased { slot: data.slot, by: told.index, time: told.time, reason: data.reason })
        }
        _ => None,
    }
}
