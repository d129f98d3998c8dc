//! `agentctl schedule show`

use agentd_schemas::document::request::EventFilter;
use agentd_schemas::document::{Acceptance, PersonAcceptance, WorkDocument};
use agentd_schemas::event::{Event, EventData};
use agentd_schemas::problem::Code;
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::{PageOfEvents, ScheduleView, TickView};
use serde::Serialize;

use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::output::{Details, Output};
use crate::story;

/// Ticks to come that are shown.
const TICKS: u32 = 3;

/// Show one schedule in full: when it ticks, and the work that each tick submits
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  agentctl schedule show nightly\n  agentctl schedule show nightly --json --fields work"
)]
pub(crate) struct Args {
    /// The schedule: its name, or a unique prefix of its id
    schedule: String,
}

/// A schedule with what stands in its events.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    schedule: ScheduleView,
    ticks: Vec<WallMs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_reason: Option<String>,
    /// Absent where it was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    work: Option<WorkDocument>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let schedule = named(context, &self.schedule).await?;
        let id = schedule.id.to_string();
        let ticks: Vec<WallMs> = read(&context.schedules().await?.next(&id, TICKS).await?)?;
        let added = newest(context, &id, "ScheduleAdded").await?;
        let work = match added {
            Some(added) => work(context, &added).await?,
            None => None,
        };
        let paused = if schedule.state == "paused" { newest(context, &id, "SchedulePaused").await? } else { None };
        let pause_reason = paused.and_then(|event| match event.data {
            EventData::SchedulePaused(paused) => Some(paused.reason),
            _ => None,
        });
        let whole = Whole { schedule, ticks, pause_reason, work };
        context.out.show(&whole, std::slice::from_ref(&id), |out| words(out, &whole))
    }
}

/// The schedule with this name, id or unique prefix of one.
async fn named(context: &Context, text: &str) -> Result<ScheduleView, Failure> {
    let all: Vec<ScheduleView> = read(&context.schedules().await?.list().await?)?;
    let by_name = |view: &ScheduleView| view.name.as_str() == text;
    let by_id = |view: &ScheduleView| view.id.to_string().starts_with(text);
    let found: Vec<&ScheduleView> = match all.iter().filter(|view| by_name(view)).collect::<Vec<_>>() {
        named if named.is_empty() => all.iter().filter(|view| by_id(view)).collect(),
        named => named,
    };
    match found[..] {
        [one] => Ok(one.clone()),
        [] => Err(Failure::not_found(format!("no schedule {text:?}")).hint("see: agentctl schedule list")),
        _ => Err(Failure::usage(format!("{text:?} names {} schedules", found.len()))
            .hint("agentctl schedule list --json --fields id,name,owner tells them apart")),
    }
}

/// The newest event of this type about the schedule.
pub(crate) async fn newest(context: &Context, id: &str, kind: &str) -> Result<Option<Event>, Failure> {
    let filter = EventFilter {
        subject: Some("schedule".to_owned()),
        id: Some(id.to_owned()),
        event_type: Some(kind.to_owned()),
        limit: Some(1),
        newest_first: true,
        ..EventFilter::default()
    };
    let page: PageOfEvents = read(&context.ledger().await?.events(&document(&filter)?).await?)?;
    Ok(page.events.first().and_then(|event| story::tell(&event.body)).and_then(|told| told.event))
}

/// The document of the works, kept beside the event that added the schedule; nothing where it was erased.
pub(crate) async fn work(context: &Context, added: &Event) -> Result<Option<WorkDocument>, Failure> {
    match context.works().await?.content(added.envelope.index, 0).await.map_err(Failure::from) {
        Ok(bytes) => read(&String::from_utf8_lossy(&bytes)).map(Some),
        Err(failure) if failure.code() == Code::Redacted.as_str() => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn words(out: &Output, whole: &Whole) -> Result<(), Failure> {
    let schedule = &whole.schedule;
    let mut details = Details::new();
    details.add("name", &schedule.name).add("id", schedule.id).painted("state", out.state(&schedule.state));
    details.maybe("because", whole.pause_reason.as_deref());
    details.add("owner", format!("uid {}", schedule.owner));
    details.add("cron", format!("{} in {}", schedule.cron, schedule.time_zone));
    details.list("next", whole.ticks.iter().map(|tick| out.time(*tick)));
    details.add("missed ticks", story::serde_word(&schedule.missed));
    details.add("overlap", story::serde_word(&schedule.overlap));
    details.add("ticks", format!("{} submitted a work, {} were skipped", schedule.submitted, schedule.skipped));
    details.maybe("last", schedule.last.as_ref().map(|tick| last(out, tick)));
    details.write(out)?;
    let Some(work) = &whole.work else {
        return out.line("\nThe work of each tick: (redacted)");
    };
    out.line("\nThe work of each tick")?;
    asked(out, work)?;
    match &work.instructions {
        Some(instructions) => out.section("Instructions", instructions),
        None => Ok(()),
    }
}

fn asked(out: &Output, work: &WorkDocument) -> Result<(), Failure> {
    let mut details = Details::new();
    details.maybe("  title", work.title.as_deref());
    details.list("  needs", &work.required_skills).maybe("  only agent", work.agent.as_ref());
    details.list("  labels", work.labels.iter().map(|(key, value)| format!("{key}={value}")));
    if work.priority != 0 {
        details.add("  priority", work.priority);
    }
    details.list("  after", &work.depends_on).maybe("  part of", work.parent.as_deref());
    details.maybe("  not before", work.not_before.map(|at| out.time(at)));
    details.maybe("  deadline", work.deadline.map(|at| out.time(at)));
    let limits = &work.limits;
    details.maybe("  attempts", limits.max_attempts).maybe("  timeout", limits.timeout);
    details.maybe("  cost", limits.max_cost).maybe("  tokens", limits.max_tokens);
    details.maybe("  start within", work.slo.start_within).maybe("  finish within", work.slo.finish_within);
    details.list("  judged by", work.acceptance.iter().map(kind));
    details.write(out)
}

/// Who or what judges a result, in words.
pub(crate) fn kind(acceptance: &Acceptance) -> &'static str {
    match acceptance {
        Acceptance::JsonSchema(_) => "JSON Schema",
        Acceptance::Person(PersonAcceptance::Owner) => "the owner",
        Acceptance::Person(PersonAcceptance::Operator) => "an operator",
        Acceptance::Command(_) => "a command",
        Acceptance::Changes(_) => "rules for changes",
        Acceptance::Files(_) => "files",
        Acceptance::Artefact(_) => "an artefact",
    }
}

fn last(out: &Output, tick: &TickView) -> String {
    let outcome = match (&tick.work, &tick.skipped) {
        (Some(work), _) => format!("submitted {work}"),
        (None, Some(why)) => format!("skipped: {}", out.local(&why.replace('_', " "))),
        (None, None) => "-".to_owned(),
    };
    format!("{}, {outcome}", out.time(tick.tick))
}
