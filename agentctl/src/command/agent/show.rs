//! `agentctl agent show`

use agentd_schemas::document::program::{AgentFile, Program, ResultFrom};
use agentd_schemas::document::{ModelBinding, Runtime};
use agentd_schemas::event::Custody;
use agentd_schemas::launch::Level;
use agentd_schemas::unit::name::Slug;
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::AgentView;

use super::skills;
use crate::ambient;
use crate::context::{Context, read};
use crate::error::Failure;
use crate::output::{Colour, Details, Output};
use crate::story;

/// Show one agent in full: key, model, what it showed it can do
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl agent show fixer")]
pub(crate) struct Args {
    /// The agent
    name: Slug,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let view: AgentView = read(&context.agents().await?.show(self.name.as_str()).await?)?;
        context.out.show(&view, &[view.row.name.to_string()], |out| words(out, &view))
    }
}

/// One agent in words.
pub(super) fn words(out: &Output, view: &AgentView) -> Result<(), Failure> {
    let row = &view.row;
    out.line(out.paint(Colour::Bold, row.name.as_str()))?;
    let mut details = Details::new();
    details.maybe("about", view.description.as_deref());
    details.painted("state", out.state(row.state.as_str())).maybe("because", view.reason.as_deref());
    details.add("id", &view.agent_id).add("owner", format!("uid {}", row.owner));
    if row.shared {
        details.add("takes", "works of every owner");
    }
    let revoked = if view.key_revoked { ", revoked" } else { "" };
    details.add("key", format!("{} ({}){revoked}", view.fingerprint, custody(view.custody)));
    if let Some(authority) = &view.authority {
        details.add("certified by", authority);
        details.add("certified", certified(out, view.certified_until));
    }
    details.add("model", view.binding.as_ref().map_or_else(|| "none".to_owned(), model));
    if let Some(runtime) = &view.runtime {
        program(runtime, &mut details);
    }
    details.add("epoch", row.epoch).add("enrolled", out.time(row.enrolled_at));
    details.add(
        "works",
        format!(
            "{} now of {}, {} completed, {} failed attempts",
            row.live, view.max_concurrency, row.completed, row.failed
        ),
    );
    if view.failures_in_a_row > 0 {
        details.add("failed in a row", view.failures_in_a_row);
    }
    details.add("spent today", view.spent_today);
    details.write(out)?;
    if row.skills.is_empty() && view.demonstrated.is_empty() {
        return Ok(());
    }
    out.line("")?;
    skills::table(out, view)
}

/// What agentd starts for it, and within which bounds.
fn program(runtime: &Runtime, details: &mut Details) {
    let Runtime { program, sandbox, resources, files, .. } = runtime;
    details.add("program", story::run::command(runtime));
    let file = |file: &AgentFile| format!("{} {}", file.name, file.sha256.get(..12).unwrap_or(&file.sha256));
    details.list("files", files.iter().map(file));
    if *program != Program::default() {
        let result = match &program.result {
            ResultFrom::Stdout => "its standard output".to_owned(),
            ResultFrom::File(path) => format!("the file {path}"),
            ResultFrom::Json(pointer) => format!("{pointer} in its standard output"),
            ResultFrom::Socket => "what it hands in by the run's socket".to_owned(),
        };
        details.add("result is", result);
        details.list("environment", program.environment.keys());
    }
    details.add("sandbox", format!("{} at least", sandbox.level.unwrap_or(Level::Strict).as_str()));
    details.list("reads", &sandbox.read_only_paths).list("profiles", &sandbox.profiles);
    let mut bounds = Vec::new();
    bounds.extend(resources.memory_max.map(|size| format!("{size} memory")));
    bounds.extend(resources.tasks_max.map(|tasks| format!("{tasks} tasks")));
    bounds.extend(resources.cpu_quota.map(|percent| format!("{percent} % of a processor")));
    bounds.extend(resources.workspace_max.map(|size| format!("{size} workspace")));
    bounds.extend(resources.workspace_files_max.map(|files| format!("{files} files in the workspace")));
    bounds.extend(resources.output_max.map(|size| format!("{size} of output kept")));
    details.list("bounds", bounds);
}

fn certified(out: &Output, until: Option<WallMs>) -> String {
    match until {
        None => "never".to_owned(),
        Some(until) if until > ambient::now() => format!("until {}", out.time(until)),
        Some(until) => format!("lapsed on {}", out.time(until)),
    }
}

fn custody(custody: Custody) -> &'static str {
    match custody {
        Custody::Resident => "held by the agent",
        Custody::Host => "held by agentd",
        Custody::Owner => "held by agentd, certified by the owner",
    }
}

/// `provider/name` and what else counts as that model.
pub(crate) fn model(binding: &ModelBinding) -> String {
    let mut text = format!("{}/{}", binding.provider, binding.name);
    if !binding.versions.is_empty() {
        text.push_str(&format!(", also {}", binding.versions.join(", ")));
    }
    if !binding.helpers.is_empty() {
        text.push_str(&format!(", helped by {}", binding.helpers.join(", ")));
    }
    text
}
