//! `agentctl work log` and `agentctl log W`: the story of one work.

use agentd_schemas::content::WorkContent;
use agentd_schemas::dbus::WorksProxy;
use agentd_schemas::document::request::{EventFilter, MAX_PAGE};
use agentd_schemas::event::EventData;
use agentd_schemas::id::WorkId;
use agentd_schemas::problem::Code;
use agentd_schemas::view::{EventView, PageOfEvents, WorkView};

use crate::command::work::show::is_past;
use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::follow::Follower;
use crate::latest;
use crate::output::{Colour, Output, plain, plain_lines};
use crate::program_output::Tail;
use crate::story::{self, Held, Told};

/// Lines of a note or of a message that the story repeats, at most.
const SHOWN_LINES: usize = 40;

/// What stands for erased content, here as in the answers of agentd.
const REDACTED: &str = "(redacted)";

/// Tell the story of one work from its events
///
/// With -f also the lines that the program of its run writes, as it writes them, until the work is over; `work output` has
/// those alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl log @ -f\n  agentctl log @ --indexes")]
pub(crate) struct Args {
    /// The work: an id, a unique prefix of one, or @
    work: String,
    /// Go on as events come, until the work is over
    #[arg(long, short)]
    follow: bool,
    /// With the index of each event and what it keeps beside the log, as `ledger redact` takes them
    #[arg(long)]
    indexes: bool,
}

impl Args {
    /// The story of `work`.
    pub(crate) fn new(work: String, follow: bool, indexes: bool) -> Self {
        Self { work, follow, indexes }
    }

    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let work = latest::work_id(context, &self.work).await?;
        let mut story = Held::new(work);
        let next = past(context, work, &mut story, self.indexes).await?;
        if !self.follow {
            return held(context, work).await;
        }
        let mut follower = Follower::from(context, next).await?;
        let id = work.to_string();
        // The last event is told by the round after the one that saw the work over.
        let mut was_over = false;
        let mut tails = ["stdout", "stderr"].map(|stream| (stream, Tail::new(work, 0, stream)));
        let mut events = Vec::new();
        loop {
            context.out.flush()?;
            events.extend(follower.more_within(Tail::LOOK).await?);
            let works = follower.works().await?;
            let view: WorkView = match works.show(&id).await.map_err(Failure::from) {
                // The next round goes to the daemon that comes back.
                Err(failure) if failure.is_broken() => continue,
                view => read(&view?)?,
            };
            // What a program wrote stands before the events that came of it.
            if context.out.is_human() {
                wrote(&context.out, &works, &mut tails).await?;
            }
            let is_told = events.is_empty();
            for event in std::mem::take(&mut events) {
                let told = story::tell(&event.body).filter(|told| story.takes(told));
                if let Some(told) = told {
                    tell(&context.out, &works, &event, &told, self.indexes).await?;
                }
            }
            if was_over && is_told {
                return Ok(());
            }
            was_over = is_past(&view.row.state);
        }
    }
}

/// Says what freezes hold a work now: they are no events of it.
async fn held(context: &Context, work: WorkId) -> Result<(), Failure> {
    if context.out.is_human() {
        let view: WorkView = read(&context.works().await?.show(&work.to_string()).await?)?;
        for freeze in &view.freezes {
            context.out.note(format!("frozen {}", story::frozen(&context.out, freeze)));
        }
    }
    Ok(())
}

/// Tells the lines that the program of the newest run wrote since the last look.
async fn wrote(out: &Output, works: &WorksProxy<'_>, tails: &mut [(&str, Tail); 2]) -> Result<(), Failure> {
    for (stream, tail) in tails {
        for line in tail.lines(works).await {
            out.line(format!("    {}| {}", out.paint(Colour::Dim, stream), plain_lines(&line)))?;
        }
    }
    Ok(())
}

/// Tells all that happened so far; gives the place in the log to go on from.
async fn past(context: &Context, work: WorkId, story: &mut Held, indexes: bool) -> Result<u64, Failure> {
    let works = context.works().await?;
    let of_work =
        EventFilter { subject: Some("work".to_owned()), id: Some(work.to_string()), ..EventFilter::default() };
    let (mut events, size) = all(context, of_work).await?;
    let since = events.first().map_or(size, |event| event.index);
    for kind in ["Frozen", "Thawed"] {
        let (subject, event_type) = (Some("host".to_owned()), Some(kind.to_owned()));
        let of_host = EventFilter { since, subject, event_type, ..EventFilter::default() };
        match all(context, of_host).await {
            // What comes after the work's events is told by who follows.
            Ok((found, _)) => events.extend(found.into_iter().filter(|event| event.index < size)),
            // Who sees the work need not see the host.
            Err(failure) if failure.code() == Code::NotFound.as_str() => break,
            Err(failure) => return Err(failure),
        }
    }
    events.sort_by_key(|event| event.index);
    for event in &events {
        if let Some(told) = story::tell(&event.body).filter(|told| story.takes(told)) {
            tell(&context.out, &works, event, &told, indexes).await?;
        }
    }
    Ok(size)
}

/// All events of a filter, and the end of the log then.
async fn all(context: &Context, mut filter: EventFilter) -> Result<(Vec<EventView>, u64), Failure> {
    let ledger = context.ledger().await?;
    let mut events = Vec::new();
    filter.limit = Some(MAX_PAGE);
    loop {
        let page: PageOfEvents = read(&ledger.events(&document(&filter)?).await?)?;
        events.extend(page.events);
        if page.next >= page.size || page.next <= filter.since {
            return Ok((events, page.size));
        }
        filter.since = page.next;
    }
}

async fn tell(
    out: &Output,
    works: &WorksProxy<'_>,
    event: &EventView,
    told: &Told,
    indexes: bool,
) -> Result<(), Failure> {
    if out.is_json() {
        return out.line(&event.body);
    }
    if out.is_quiet() {
        return out.line(event.index);
    }
    let index = if indexes { format!("{:>6}  ", told.index) } else { String::new() };
    out.line(format!("{index}{}{}", line(out, told), if indexes { slots(told) } else { String::new() }))?;
    match said(works, told).await {
        Some(text) => plain_lines(&text).lines().try_for_each(|line| out.line(format!("    {line}"))),
        None => Ok(()),
    }
}

/// Time, who and what of one event.
fn line(out: &Output, told: &Told) -> String {
    let time = told.time.map_or_else(|| "-".to_owned(), |time| out.time(time));
    format!("{}  {}  {}", out.paint(Colour::Dim, &time), out.paint(Colour::Cyan, &told.actor), out.local(&told.words))
}

/// What an event keeps beside the log: ` [content 0: text/plain]`.
fn slots(told: &Told) -> String {
    let blobs = told.event.iter().flat_map(|event| &event.envelope.blobs);
    let said: Vec<String> =
        blobs.map(|blob| format!("  [content {}: {}]", blob.slot, plain(&blob.media_type))).collect();
    said.concat()
}

/// The words that an event keeps beside the log; `None` where there are none or they were erased.
async fn said(works: &WorksProxy<'_>, told: &Told) -> Option<String> {
    let event = told.event.as_ref()?;
    let slot = match &event.data {
        EventData::WorkSubmitted(_) | EventData::NoteAdded(_) => 0,
        // What a person said of the result, or the agent of its failure.
        EventData::AttemptFailed(_) | EventData::WorkCompleted(_) => 2,
        _ => return None,
    };
    event.envelope.blobs.iter().find(|blob| blob.slot == slot)?;
    let content = match works.content(told.index, slot).await.map_err(Failure::from) {
        Ok(content) => content,
        Err(failure) if failure.code() == Code::Redacted.as_str() => return Some(REDACTED.to_owned()),
        Err(_) => return Some("(content is not available)".to_owned()),
    };
    let text = match &event.data {
        EventData::WorkSubmitted(_) => serde_json::from_slice::<WorkContent>(&content).ok()?.title,
        _ => String::from_utf8_lossy(&content).into_owned(),
    };
    let mut lines: Vec<&str> = text.lines().take(SHOWN_LINES + 1).collect();
    if lines.len() > SHOWN_LINES {
        lines[SHOWN_LINES] = "…";
    }
    Some(lines.join("\n"))
}
