//! `agentctl ledger show`

use agentd_schemas::document::request::EventFilter;
use agentd_schemas::view::{EventView, PageOfEvents};

use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::output::{Colour, Output, bytes, indented, plain, plain_lines};
use crate::story;

/// Show one event in full
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl ledger show 17 --content\n  agentctl ledger show 17 --json > event.json")]
pub(crate) struct Args {
    /// Its index in the log
    event: u64,
    /// Also what the event commits to and keeps beside the log
    #[arg(long, conflicts_with = "json")]
    content: bool,
    /// Only the content in this slot, as its exact bytes
    #[arg(long, value_name = "SLOT", conflicts_with_all = ["content", "json"])]
    raw: Option<u8>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        if let Some(slot) = self.raw {
            return context.out.raw(&context.works().await?.content(self.event, slot).await?);
        }
        let event = event(context, self.event).await?;
        let out = &context.out;
        if out.is_json() {
            return out.line(&event.body);
        }
        if out.is_quiet() {
            return out.line(event.index);
        }
        words(out, &event)?;
        slots(context, &event).await?;
        if self.content { contents(context, &event).await } else { Ok(()) }
    }
}

/// One event by its index.
pub(super) async fn event(context: &Context, index: u64) -> Result<EventView, Failure> {
    let filter = EventFilter { since: index, limit: Some(1), ..EventFilter::default() };
    let page: PageOfEvents = read(&context.ledger().await?.events(&document(&filter)?).await?)?;
    let size = page.size;
    page.events.into_iter().find(|event| event.index == index).ok_or_else(|| {
        Failure::not_found(format!("event {index} does not exist, or is not yours to see"))
            .hint(format!("the log has {size} events, from 0 on: agentctl ledger log"))
    })
}

fn words(out: &Output, event: &EventView) -> Result<(), Failure> {
    if let Some(told) = story::tell(&event.body) {
        let subject =
            if told.subject == "host" { told.subject.clone() } else { format!("{} {}", told.subject, told.id) };
        out.line(out.paint(Colour::Bold, &format!("{subject}: {}", out.local(&told.words))))?;
    }
    // The exact bytes with blanks between them: nothing is sorted, escaped or rounded on the way.
    out.line(plain_lines(&indented(&event.body)))
}

/// What the event keeps beside the log, slot by slot, and what was erased of it.
async fn slots(context: &Context, event: &EventView) -> Result<(), Failure> {
    let read = story::tell(&event.body).and_then(|told| told.event);
    let blobs = read.map(|read| read.envelope.blobs).unwrap_or_default();
    if blobs.is_empty() {
        return Ok(());
    }
    let erasures = super::redact::erasures(&context.ledger().await?, event.index).await?;
    let out = &context.out;
    out.line("")?;
    for blob in blobs {
        let erased = erasures.iter().find(|erased| erased.slot == blob.slot);
        let state = match erased {
            Some(erased) => format!("erased by event {}: {}", erased.by, plain(&erased.reason)),
            None => bytes(blob.size),
        };
        out.line(format!("content {} ({}): {state}", blob.slot, plain(&blob.media_type)))?;
    }
    Ok(())
}

async fn contents(context: &Context, event: &EventView) -> Result<(), Failure> {
    let Some(read) = story::tell(&event.body).and_then(|told| told.event) else {
        return Ok(());
    };
    for blob in &read.envelope.blobs {
        let heading = format!("Content {} ({})", blob.slot, plain(&blob.media_type));
        match context.works().await?.content(event.index, blob.slot).await {
            Ok(bytes) => context.out.section(&heading, &String::from_utf8_lossy(&bytes))?,
            Err(error) => context.out.section(&heading, Failure::from(error).message())?,
        }
    }
    Ok(())
}
