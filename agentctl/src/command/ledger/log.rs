//! `agentctl ledger log`

use agentd_schemas::document::request::{EventFilter, MAX_PAGE};
use agentd_schemas::event::{Actor, EventData, SubjectKind};
use agentd_schemas::view::{EventView, PageOfEvents};
use clap::builder::PossibleValuesParser;
use unicode_width::UnicodeWidthStr;

use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::follow::Follower;
use crate::latest;
use crate::output::{Colour, Output, cut};
use crate::story::{self, Told};

/// Columns of what happened, at least, however narrow the terminal is.
const LEAST_WORDS: usize = 8;

/// Show events, oldest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl ledger log --type AccessDenied -n 20\n  \
    agentctl ledger log --subject agent:fixer --json\n  agentctl ledger log --since 1000 -f")]
pub(crate) struct Args {
    /// Of this type, as in WorkCompleted
    #[arg(long = "type", value_name = "TYPE", hide_possible_values = true,
          value_parser = PossibleValuesParser::new(EventData::TYPES))]
    kind: Option<String>,
    /// By this actor: uid:1000, agent:NAME or host
    #[arg(long)]
    actor: Option<Actor>,
    /// About this: host, agent, work, schedule, objective, account; one of them as in work:w-7kq or agent:fixer
    #[arg(long, value_name = "KIND[:ID]")]
    subject: Option<String>,
    /// From this event on; the newest events without
    #[arg(long, value_name = "EVENT")]
    since: Option<u64>,
    /// At most this many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, allow_hyphen_values = true, value_parser = crate::command::at_least_one())]
    limit: u32,
    /// Go on as events come, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
}

impl Args {
    /// The newest events.
    pub(crate) fn newest(limit: u32, follow: bool) -> Self {
        Self { kind: None, actor: None, subject: None, since: None, limit, follow }
    }

    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let filter = self.filter(context).await?;
        let Found { events, next, more } = match self.since {
            Some(since) => forward(context, filter.clone(), since, self.limit).await?,
            None => newest(context, filter.clone(), self.limit).await?,
        };
        for event in &events {
            show(&context.out, event)?;
        }
        if !self.follow {
            if context.out.is_human() {
                let said = if events.is_empty() { Some("no events".to_owned()) } else { more };
                if let Some(said) = said {
                    context.out.note(said);
                }
            }
            return Ok(());
        }
        let mut follower = Follower::from(context, next).await?;
        loop {
            context.out.flush()?;
            for event in follower.more().await? {
                if matches(&filter, &event) {
                    show(&context.out, &event)?;
                }
            }
        }
    }

    async fn filter(&self, context: &Context) -> Result<EventFilter, Failure> {
        let (subject, id) = match self.subject.as_deref().map(|text| text.split_once(':').unwrap_or((text, ""))) {
            None => (None, None),
            Some((kind, id)) => (Some(subject_kind(kind)?.to_owned()), Some(id).filter(|id| !id.is_empty())),
        };
        let id = match (subject.as_deref(), id) {
            (Some("work"), Some(work)) => Some(latest::work_id(context, work).await?.to_string()),
            (_, id) => id.map(str::to_owned),
        };
        let actor = self.actor.as_ref().map(Actor::to_string);
        Ok(EventFilter { subject, id, event_type: self.kind.clone(), actor, ..EventFilter::default() })
    }
}

fn subject_kind(text: &str) -> Result<&'static str, Failure> {
    use SubjectKind::{Account, Agent, Host, Objective, Schedule, Work};
    let kinds = [Host, Agent, Work, Schedule, Objective, Account].map(SubjectKind::as_str);
    kinds.into_iter().find(|kind| *kind == text).ok_or_else(|| {
        Failure::usage(format!("{text:?} is no kind of subject")).hint(format!("kinds are {}", kinds.join(", ")))
    })
}

/// Events that were asked for.
struct Found {
    events: Vec<EventView>,
    /// The place in the log to go on from.
    next: u64,
    /// How to see those that there may be beyond the limit.
    more: Option<String>,
}

/// Events from `since` on.
async fn forward(context: &Context, mut filter: EventFilter, since: u64, limit: u32) -> Result<Found, Failure> {
    let ledger = context.ledger().await?;
    let mut events: Vec<EventView> = Vec::new();
    filter.since = since;
    loop {
        let missing = limit.saturating_sub(u32::try_from(events.len()).unwrap_or(u32::MAX));
        filter.limit = Some(missing.min(MAX_PAGE));
        let page: PageOfEvents = read(&ledger.events(&document(&filter)?).await?)?;
        events.extend(page.events);
        if events.len() >= limit as usize || page.next >= page.size || page.next <= filter.since {
            let next = page.next.max(filter.since);
            let more = (next < page.size).then(|| format!("there may be newer events: --since {next}"));
            return Ok(Found { events, next, more });
        }
        filter.since = page.next;
    }
}

/// The newest events, oldest first, and the end of the log.
async fn newest(context: &Context, mut filter: EventFilter, limit: u32) -> Result<Found, Failure> {
    let ledger = context.ledger().await?;
    let mut events: Vec<EventView> = Vec::new();
    let mut end = None;
    filter.newest_first = true;
    loop {
        let missing = limit.saturating_sub(u32::try_from(events.len()).unwrap_or(u32::MAX));
        filter.limit = Some(missing.min(MAX_PAGE));
        let page: PageOfEvents = read(&ledger.events(&document(&filter)?).await?)?;
        let end = *end.get_or_insert(page.size);
        let is_last = page.events.is_empty() || page.next == 0 || page.next == filter.since;
        events.extend(page.events);
        if is_last || events.len() >= limit as usize {
            events.reverse();
            let more = (!is_last).then(|| format!("there may be older events: -n {}", limit.saturating_mul(4)));
            return Ok(Found { events, next: end, more });
        }
        filter.since = page.next;
    }
}

/// Whether an event that came is one that was asked for.
fn matches(filter: &EventFilter, event: &EventView) -> bool {
    let Some(told) = story::tell(&event.body) else {
        return false;
    };
    let kind = told.event.as_ref().map_or(told.words.as_str(), |event| event.data.type_name());
    let fits = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    fits(&filter.subject, &told.subject)
        && fits(&filter.id, &told.id)
        && fits(&filter.event_type, kind)
        && fits(&filter.actor, &told.actor)
}

fn show(out: &Output, event: &EventView) -> Result<(), Failure> {
    if out.is_json() {
        return out.line(&event.body);
    }
    if out.is_quiet() {
        return out.line(event.index);
    }
    match story::tell(&event.body) {
        Some(told) => out.line(sentence(out, &told)),
        None => out.line(format!("{:>6}  (not readable by this agentctl)", event.index)),
    }
}

/// One event with its subject, for a log of many subjects: one line, on a terminal no longer than that is wide.
fn sentence(out: &Output, told: &Told) -> String {
    let subject = match told.subject.as_str() {
        "host" => String::new(),
        "work" => format!("{}  ", told.id),
        other => format!("{other} {}  ", told.id),
    };
    let time = told.time.map_or_else(|| "-".to_owned(), |time| out.time(time));
    let words = out.local(&told.words);
    let index = format!("{:>6}", told.index);
    let around = |time: &str, subject: &str| format!("{index}  {time}  {}  {subject}", told.actor).width();
    let (time, subject, words) = match out.width() {
        Some(width) if around(&time, &subject) + words.width() > width => {
            let time = told.time.map_or(time, |time| out.short_time(time));
            // An id of a work is not cut: it is what one types next.
            let subject = if told.subject == "work" { subject } else { cut(&subject, width / 3) };
            let room = width.saturating_sub(around(&time, &subject)).max(LEAST_WORDS);
            (time, subject, cut(&words, room))
        }
        _ => (time, subject, words),
    };
    let (time, actor) = (out.paint(Colour::Dim, &time), out.paint(Colour::Cyan, &told.actor));
    format!("{index}  {time}  {actor}  {}{words}", out.paint(Colour::Bold, &subject))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Style;
    use crate::output::tests::written;

    fn event() -> EventView {
        let body = r#"{"v":1,"index":7,"subject":"work","id":"w-aaaaaaaaaaaaaaaa","version":2,"type":"RunStarted","time":"2026-11-22T08:00:00.000Z","boot":"00000000000000000000000000000000","boot_ms":5,"actor":"agent:fixer","assurance":"key","data":{}}"#;
        EventView { index: 7, body: body.to_owned() }
    }

    #[test]
    fn an_event_is_one_line_for_people_and_its_exact_bytes_for_programs() {
        let text = written(Style::default(), None, |out| show(out, &event()).unwrap());
        assert_eq!(text, "     7  2026-11-22 08:00:00 UTC  agent:fixer  w-aaaaaaaaaaaaaaaa  started\n");
        let narrow = written(Style::default(), Some(60), |out| show(out, &event()).unwrap());
        assert!(narrow.ends_with(" 08:00  agent:fixer  w-aaaaaaaaaaaaaaaa  started\n"), "{narrow}");
        let long = EventView { body: event().body.replace("RunStarted", "WorkTeleportedFarAway"), ..event() };
        let cut = written(Style::default(), Some(70), |out| show(out, &long).unwrap());
        assert!(cut.ends_with("  w-aaaaaaaaaaaaaaaa  WorkTeleportedF…\n"), "{cut}");
        assert_eq!(cut.trim_end_matches('\n').width(), 70, "{cut}");
        let json = Style { json: true, ..Style::default() };
        assert_eq!(written(json, None, |out| show(out, &event()).unwrap()), event().body + "\n");
    }

    #[test]
    fn an_event_that_comes_later_passes_the_same_filter() {
        let filter = |event_type: &str, id: &str| EventFilter {
            subject: Some("work".to_owned()),
            id: Some(id.to_owned()),
            event_type: Some(event_type.to_owned()),
            ..EventFilter::default()
        };
        assert!(matches(&filter("RunStarted", "w-aaaaaaaaaaaaaaaa"), &event()));
        assert!(!matches(&filter("RunStarted", "w-baaaaaaaaaaaaaaa"), &event()));
        assert!(!matches(&filter("NoteAdded", "w-aaaaaaaaaaaaaaaa"), &event()));
        assert!(!matches(&EventFilter { actor: Some("host".to_owned()), ..EventFilter::default() }, &event()));
    }
}
