//! `agentctl ledger redact`

use agentd_schemas::dbus::LedgerProxy;
use agentd_schemas::document::request::{EventFilter, MAX_PAGE};
use agentd_schemas::event::EventData;
use agentd_schemas::view::PageOfEvents;

use crate::command;
use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::story::{self, Told};

/// Erase one piece of content for ever; the log goes on to prove the rest
///
/// The event stays, with its commitment; the content and its salt are gone. Backups and exports made before still hold
/// them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl ledger show 17\n  agentctl ledger redact 17 0 --reason 'held a password'")]
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
        let before = self.erased_before(&ledger).await?;
        ledger.redact(self.event, self.slot, &self.reason).await?;
        let content = format!("content {} of event {}", self.slot, self.event);
        let words = match before {
            Some(Told { index, time: Some(time), .. }) => {
                format!("{content} was erased already, {}: event {index}", context.out.time(time))
            }
            Some(Told { index, .. }) => format!("{content} was erased already: event {index}"),
            None => format!("erased {content}"),
        };
        context.out.done("event", &self.event.to_string(), &words)
    }

    /// The event that erased it before, where there is one.
    async fn erased_before(&self, ledger: &LedgerProxy<'_>) -> Result<Option<Told>, Failure> {
        let event_type = Some("ContentRedacted".to_owned());
        let mut filter = EventFilter { event_type, limit: Some(MAX_PAGE), ..EventFilter::default() };
        loop {
            let page: PageOfEvents = read(&ledger.events(&document(&filter)?).await?)?;
            let found = page.events.iter().filter_map(|event| story::tell(&event.body)).find(|told| self.is_of(told));
            if found.is_some() || page.events.is_empty() || page.next >= page.size || page.next <= filter.since {
                return Ok(found);
            }
            filter.since = page.next;
        }
    }

    fn is_of(&self, told: &Told) -> bool {
        match told.event.as_ref().map(|event| &event.data) {
            Some(EventData::ContentRedacted(data)) => data.event == self.event && data.slot == self.slot,
            _ => false,
        }
    }
}
