//! `agentctl work show`

use agentd_schemas::document::PersonAcceptance;
use agentd_schemas::document::workspace::ContentKind;
use agentd_schemas::event::{Criterion, WorkState};
use agentd_schemas::unit::duration::Span;
use agentd_schemas::view::work::{Linked, WorkspaceView};
use agentd_schemas::view::{RunView, WorkView};

use crate::ambient;
use crate::artefact;
use crate::context::{Context, read};
use crate::error::Failure;
use crate::latest;
use crate::output::{Colour, Details, Output, bytes, elapsed, money, plain};
use crate::story;

/// Show one work in full: what was asked, its attempts, its result
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl work show @\n  agentctl work show w-7kq --json --fields runs")]
pub(crate) struct Args {
    /// The work: an id, a unique prefix of one, or @
    work: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let work = latest::named(context, &self.work).await?;
        let view: WorkView = read(&context.works().await?.show(&work).await?)?;
        context.out.show(&view, &[view.row.id.to_string()], |out| words(out, &view))
    }
}

fn words(out: &Output, view: &WorkView) -> Result<(), Failure> {
    out.line(out.paint(Colour::Bold, &plain(&view.row.title)))?;
    let mut details = Details::new();
    about(out, view, &mut details);
    links(view, &mut details);
    limits(out, view, &mut details);
    details.write(out)?;
    if let Some(instructions) = &view.instructions {
        out.section("Instructions", instructions)?;
    }
    if let Some(inputs) = &view.inputs {
        out.section("Inputs", &pretty(inputs))?;
    }
    for run in &view.runs {
        attempt(out, run)?;
    }
    for note in &view.notes {
        out.section(&format!("Note of {}, {}", plain(&note.actor), out.time(note.at)), &note.text)?;
    }
    Ok(())
}

fn about(out: &Output, view: &WorkView, details: &mut Details) {
    let row = &view.row;
    details.add("id", row.id).painted("state", out.state(&plain(&row.state)));
    details.list("frozen", view.freezes.iter().map(|freeze| story::frozen(out, freeze)));
    details.maybe("because", row.reason.as_deref());
    details.maybe("waits for", view.waiting_for.as_ref().map(story::waits_for));
    details.maybe("it asks", story::question(view));
    details.add("owner", format!("uid {}", row.owner)).maybe("agent", row.agent.as_ref());
    details.list("needs", &view.required_skills).maybe("only agent", view.only_agent.as_ref());
    details.maybe("workspace", view.workspace.as_ref().map(workspace));
    details.list("labels", view.labels.iter().map(|(key, value)| format!("{key}={value}")));
    if row.priority != 0 {
        details.add("priority", row.priority);
    }
    details.add("submitted", out.time(row.submitted_at)).add("changed", out.time(row.changed_at));
    details.list("missed", view.breaches.iter().map(|breach| out.local(breach)));
    if view.held {
        details.add("content", "on hold");
    }
}

fn links(view: &WorkView, details: &mut Details) {
    let linked = |link: &Linked| format!("{} ({})", link.id, link.state);
    details.maybe("part of", view.parent.as_ref().map(linked));
    details.list("parts", view.children.iter().map(linked));
    details.list("after", view.depends_on.iter().map(linked));
    details.list("before", view.dependants.iter().map(linked));
}

fn limits(out: &Output, view: &WorkView, details: &mut Details) {
    let row = &view.row;
    let of = |limit: Option<String>| limit.map_or_else(String::new, |limit| format!(" of {limit}"));
    details.add("attempts", format!("{} of {}", row.attempts, view.max_attempts));
    details.add("spent", money(row.spent, row.unpriced) + &of(view.max_cost.map(|limit| limit.to_string())));
    details.add("tokens", view.tokens.to_string() + &of(view.max_tokens.map(|limit| limit.to_string())));
    if let (Some(spent), Some(tokens)) = (view.spent_with_parts, view.tokens_with_parts) {
        details.add("with parts", format!("{spent}, {tokens} tokens"));
    }
    if view.reserved.0.as_micro() > 0 {
        details.add("set aside", view.reserved);
    }
    details.maybe("timeout", view.timeout_ms.and_then(|ms| Span::from_ms(ms).ok()));
    details.maybe("not before", view.not_before.map(|at| out.time(at)));
    details.maybe("start by", view.latest_start.map(|at| out.time(at)));
    details.maybe("finish by", view.finish_by.map(|at| out.time(at)));
    details.maybe("deadline", view.deadline.map(|at| out.time(at)));
    details.list("judged by", view.acceptance.iter().map(criterion));
    details
        .list("before any work", view.base_verdicts.iter().filter(|said| said.met.is_some()).map(story::run::on_base));
}

/// What runs begin with.
fn workspace(view: &WorkspaceView) -> String {
    let base = &view.base;
    let at = |id: &String| id.get(..12).unwrap_or(id).to_owned();
    let mut text = match (&base.content, &base.base, &base.sha256) {
        (None, ..) => "empty".to_owned(),
        (Some(ContentKind::Git), Some(commit), _) => format!("commit {}", at(commit)),
        (Some(kind), _, Some(sha256)) => format!("{} {}", kind.as_str(), at(sha256)),
        (Some(kind), ..) => kind.as_str().to_owned(),
    };
    text.extend(view.branch.as_ref().map(|branch| format!(" of branch {branch}")));
    text.extend(view.repository.as_ref().map(|place| format!(", {place}")));
    text
}

fn criterion(criterion: &Criterion) -> String {
    let named = |what: &str| match criterion.sha256() {
        Some(sha256) => format!("{what} {}", sha256.get(..12).unwrap_or(sha256)),
        None => what.to_owned(),
    };
    match criterion {
        Criterion::JsonSchema { .. } => named("JSON Schema"),
        Criterion::Person(PersonAcceptance::Owner) => named("a person (owner)"),
        Criterion::Person(PersonAcceptance::Operator) => named("a person (operator)"),
        Criterion::Command { .. } => named("a command"),
        Criterion::Changes { .. } => named("rules for changes"),
        Criterion::Files { .. } => named("files"),
        Criterion::Artefact { .. } => named("an artefact"),
    }
}

fn attempt(out: &Output, run: &RunView) -> Result<(), Failure> {
    let until = run.ended_at.unwrap_or_else(ambient::now);
    out.line("")?;
    out.line(out.paint(Colour::Bold, &format!("Attempt {} by {}", run.id.attempt, run.agent)))?;
    let mut details = Details::new();
    details.painted("  outcome", out.state(&plain(&run.outcome)));
    details.maybe("  because", run.failure.map(story::failure));
    details.add("  claimed", format!("{}, {}", out.time(run.claimed_at), elapsed(run.claimed_at, until)));
    details.add("  epoch", run.epoch).add("  fence", run.fence).add("  spent", run.spent);
    details.maybe("  doing", run.progress.as_deref());
    details.maybe("  heartbeat", run.heartbeat_at.map(|at| format!("{} ago", elapsed(at, ambient::now()))));
    details.maybe("  held by", run.confinement.as_ref().map(story::run::confinement));
    details.list("  not held", run.confinement.iter().flat_map(|held| &held.lacking));
    if let Some(program) = &run.program {
        details.add("  program", story::run::ending(&program.ending, program.stopped));
        details.add("  used", story::run::usage(&program.usage));
        details.add("  wrote", format!("{} out, {} err", bytes(program.stdout_bytes), bytes(program.stderr_bytes)));
    }
    details.list("  verdicts", run.verdicts.iter().map(story::verdict));
    details.list("  protected, changed", artefact::protected(run));
    details.maybe("  commit", run.commit.as_ref().map(story::run::committed));
    details.list("  made", run.artefacts.iter().map(|made| format!("{} ({})", made.name, bytes(made.bytes))));
    details.maybe("  result", run.result_sha256.as_ref().map(|sha256| format!("sha256 {sha256}")));
    details.write(out)?;
    if let Some(message) = &run.message {
        out.section("Said", message)?;
    }
    if let Some(result) = &run.result {
        out.section("Result", &pretty(result))?;
    }
    Ok(())
}

/// A JSON value for people: text as itself, all else indented.
pub(crate) fn pretty(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}

/// Whether nothing happens to a work in this state any more.
pub(crate) fn is_past(state: &str) -> bool {
    WorkState::parse(state).is_some_and(WorkState::is_past)
}
