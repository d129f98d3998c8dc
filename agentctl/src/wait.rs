//! Waiting for works: progress on stderr, the outcome as an exit code. Ctrl-C detaches; it never cancels.

mod screen;
mod taken;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

use agentd_schemas::dbus::WorksProxy;
use agentd_schemas::event::WaitReason;
use agentd_schemas::id::{RunId, WorkId};
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::{EventView, OutputView, RunView, WhyView, WorkView};

use self::screen::Screen;
pub(crate) use self::taken::taken;
use crate::command::work::show::{is_past, pretty};
use crate::context::{Context, read};
use crate::error::{Failure, INTERRUPTED};
use crate::follow::Follower;
use crate::git::diffstat;
use crate::output::{Output, elapsed, money, plain, plain_lines};
use crate::story;
use crate::{ambient, artefact};

/// Lines of what was said of a result that are repeated, the last ones.
const SAID: usize = 12;
/// Between two looks at what a run is doing now, which no event says.
const LOOK: Duration = Duration::from_millis(LOOK_MS);
const LOOK_MS: u64 = 1000;
/// Open works that are looked at again after that long though no event was about them, at most; the next ones follow.
const LOOKED_AT: usize = 8;

/// The works that are waited for, as they stand.
struct Watched {
    since: WallMs,
    views: BTreeMap<WorkId, WorkView>,
    said: BTreeMap<WorkId, String>,
    /// What the programs of live runs are at: `preparing`, `running`, `judging`.
    steps: BTreeMap<WorkId, String>,
    /// Runs whose verdicts were said.
    judged: BTreeSet<RunId>,
    /// Works of which it was said what passes already.
    tried: BTreeSet<WorkId>,
    /// Works of which it was said what they are parked for.
    parked: BTreeSet<WorkId>,
    /// The last of those that were looked at without an event about them.
    last: Option<WorkId>,
    /// When that was.
    looked: WallMs,
    screen: Screen,
}

/// Waits until every one of the works is over; gives them in the same order.
pub(crate) async fn until_over(context: &Context, ids: &[WorkId]) -> Result<Vec<WorkView>, Failure> {
    let mut follower = Follower::from_now(context).await?;
    let mut watched = Watched::new(&context.out);
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut due: Vec<WorkId> = ids.to_vec();
    loop {
        watched.look(&follower, &due).await?;
        if watched.views.len() == ids.len() && watched.views.values().all(|view| is_past(&view.row.state)) {
            watched.screen.clear();
            return Ok(ids.iter().filter_map(|id| watched.views.remove(id)).collect());
        }
        due = tokio::select! {
            _ = &mut interrupt => return Err(watched.detach(ids)),
            events = follower.more_within(LOOK) => concerned(&events?, ids),
        };
        if due.is_empty() {
            due = watched.next();
        }
    }
}

/// Which of the works the events are about.
fn concerned(events: &[EventView], ids: &[WorkId]) -> Vec<WorkId> {
    let told = events.iter().filter_map(|event| story::tell(&event.body)).filter(|told| told.subject == "work");
    let mut found: Vec<WorkId> = told.filter_map(|told| told.id.parse().ok()).filter(|id| ids.contains(id)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

impl Watched {
    fn new(out: &Output) -> Self {
        Self {
            since: ambient::now(),
            views: BTreeMap::new(),
            said: BTreeMap::new(),
            steps: BTreeMap::new(),
            judged: BTreeSet::new(),
            tried: BTreeSet::new(),
            parked: BTreeSet::new(),
            last: None,
            looked: WallMs::saturating(0),
            screen: Screen::new(out),
        }
    }

    fn open(&self) -> impl Iterator<Item = WorkId> {
        self.views.values().filter(|view| !is_past(&view.row.state)).map(|view| view.row.id)
    }

    /// The one work that is left, so that what it does now can be shown.
    fn alone(&self) -> Option<&WorkView> {
        let mut open = self.open();
        let one = open.next().filter(|_| open.next().is_none())?;
        self.views.get(&one)
    }

    /// The open works whose turn it is: no event about a work tells that no agent is able to take it any more, or what
    /// its program is at.
    fn next(&mut self) -> Vec<WorkId> {
        let now = ambient::now();
        if now.as_ms().abs_diff(self.looked.as_ms()) < LOOK_MS {
            return Vec::new();
        }
        self.looked = now;
        let after = self.open().filter(|id| self.last.is_none_or(|last| *id > last));
        let next: Vec<WorkId> = after.chain(self.open()).take(LOOKED_AT.min(self.open().count())).collect();
        self.last = next.last().copied().or(self.last);
        next
    }

    async fn look(&mut self, follower: &Follower<'_>, due: &[WorkId]) -> Result<(), Failure> {
        if !due.is_empty() {
            let works = follower.works().await?;
            for id in due {
                match works.show(&id.to_string()).await.map_err(Failure::from) {
                    Ok(view) => {
                        let view: WorkView = read(&view)?;
                        let step = step(&works, &view).await;
                        let parked = self.parked(&works, &view).await;
                        self.seen(view, step);
                        if let Some(line) = &parked {
                            self.screen.say(line);
                        }
                    }
                    // The next look goes to the daemon that comes back.
                    Err(failure) if failure.is_broken() => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        self.draw();
        Ok(())
    }

    /// What a work that is parked anew waits for, and what ends it.
    async fn parked(&mut self, works: &WorksProxy<'_>, view: &WorkView) -> Option<String> {
        let id = view.row.id;
        if view.row.state != "parked" {
            self.parked.remove(&id);
            return None;
        }
        if !self.parked.insert(id) {
            return None;
        }
        let why: WhyView = read(&works.why(&id.to_string()).await.ok()?).ok()?;
        Some(format!("    {}: {}", plain(&why.summary), plain(&why.hint?)))
    }

    /// Takes a look at a work, and says what changed since the last.
    fn seen(&mut self, view: WorkView, step: Option<String>) {
        let id = view.row.id;
        let now = change(&view, step.as_deref());
        for line in passing(&view, &mut self.tried).into_iter().chain(verdicts(&view, &mut self.judged)) {
            self.screen.say(&line);
        }
        match step {
            Some(step) => self.steps.insert(id, step),
            None => self.steps.remove(&id),
        };
        if self.said.get(&id) != Some(&now) {
            self.screen.say(&format!("{}  {now}", view.row.short));
            self.said.insert(id, now);
        }
        self.views.insert(id, view);
    }

    fn draw(&mut self) {
        let now = ambient::now();
        let line = if let Some(view) = self.alone() {
            progress(view, self.steps.get(&view.row.id).map(String::as_str), self.since, now)
        } else {
            let over = self.views.values().filter(|view| is_past(&view.row.state)).count();
            format!("{over} of {} over  {}", self.views.len(), elapsed(self.since, now))
        };
        self.screen.draw(&line);
    }

    fn detach(&mut self, ids: &[WorkId]) -> Failure {
        self.screen.clear();
        let which = match ids {
            [one] => one.to_string(),
            many => format!("{} works", many.len()),
        };
        let verb = if ids.len() == 1 { "goes" } else { "go" };
        self.screen.say(&format!(
            "detached: {which} {verb} on; agentctl watch {}",
            ids.first().map_or_else(String::new, WorkId::to_string)
        ));
        Failure::silent(INTERRUPTED)
    }
}

/// What is worth a line of its own when it changes.
fn change(view: &WorkView, step: Option<&str>) -> String {
    let row = &view.row;
    let mut text = doing(view, step);
    if let Some(agent) =
        row.agent.as_ref().filter(|_| !matches!(row.state.as_str(), "ready" | "parked" | "scheduled" | "blocked"))
    {
        text.push_str(&format!(" by {agent}, attempt {} of {}", row.attempts, view.max_attempts));
    }
    for freeze in &view.freezes {
        let (actor, what, why) = (plain(&freeze.actor), story::scope(&freeze.scope), plain(&freeze.reason));
        text.push_str(&format!(" · {actor} froze {what}: {why}"));
    }
    if let Some(reason) = &row.reason {
        text.push_str(&format!(": {}", plain(reason)));
    }
    match (row.state.as_str(), &view.waiting_for) {
        ("verifying", _) => {
            text.push_str(&format!(" · agentctl accept {0}, or agentctl reject {0} --reason …", row.short));
        }
        ("parked", _) => text.push_str(&format!(" · agentctl why {}", row.short)),
        ("waiting", Some(WaitReason::Person)) => {
            if let Some(question) = story::question(view) {
                text.push_str(&format!(" · it asks: {}", plain(question)));
            }
            text.push_str(&format!(" · agentctl work answer {} …", row.short));
        }
        ("waiting", Some(reason)) => text.push_str(&format!(" · waits for {}", plain(&story::waits_for(reason)))),
        _ => {}
    }
    text
}

/// The state of a work, or while a program works on it, what that is at.
fn doing(view: &WorkView, step: Option<&str>) -> String {
    let is_under_way = matches!(view.row.state.as_str(), "claimed" | "running");
    // A run whose steps are over is about to be told as what it ended as.
    let doing = plain(step.filter(|step| is_under_way && !["", "over"].contains(step)).unwrap_or(&view.row.state));
    if view.row.frozen { format!("{doing} (frozen)") } else { doing }
}

/// What the program of a live run is at; only a run with a workspace has steps worth telling.
async fn step(works: &WorksProxy<'_>, view: &WorkView) -> Option<String> {
    view.workspace.as_ref()?;
    let run = view.runs.last().filter(|run| run.ended_at.is_none())?;
    // From the end of all that could be written: only the step is asked for.
    let asked = works.output(&view.row.id.to_string(), run.id.attempt, "stdout", i64::MAX.unsigned_abs()).await;
    asked.ok().and_then(|output| read::<OutputView>(&output).ok()).map(|output| output.step)
}

/// Lines for criteria that are met before any work, once it is known: they judge nothing.
fn passing(view: &WorkView, tried: &mut BTreeSet<WorkId>) -> Vec<String> {
    if view.base_verdicts.is_empty() || !tried.insert(view.row.id) {
        return Vec::new();
    }
    let met = view.base_verdicts.iter().filter(|verdict| verdict.met == Some(true));
    met.map(|verdict| format!("{}  warning: {}", view.row.short, plain(&story::run::on_base(verdict)))).collect()
}

/// Lines for what was judged since the last look, or failed before it could be, with the end of what was said about it.
fn verdicts(view: &WorkView, judged: &mut BTreeSet<RunId>) -> Vec<String> {
    // Without a workspace, what is met is no news.
    let has_news = |run: &&RunView| {
        let is_judged = run.verdicts.iter().any(|said| view.workspace.is_some() || said.met == Some(false));
        is_judged || (run.failure.is_some() && run.message.as_deref().is_some_and(|said| said.contains('\n')))
    };
    let mut lines = Vec::new();
    for run in view.runs.iter().filter(has_news) {
        if !judged.insert(run.id) {
            continue;
        }
        let of = format!("{}  attempt {}", view.row.short, run.id.attempt);
        if run.verdicts.is_empty() {
            lines.extend(run.failure.map(|failure| format!("{of}: {}", story::failure(failure))));
        }
        lines.extend(run.verdicts.iter().map(|verdict| format!("{of}: {}", plain(&story::verdict(verdict)))));
        let said = run.message.as_deref().map(plain_lines).unwrap_or_default();
        let said: Vec<&str> = said.lines().collect();
        lines.extend(said[said.len().saturating_sub(SAID)..].iter().map(|line| format!("    {line}")));
    }
    lines
}

/// What one work is doing now: state, agent, elapsed, spent, and its own words.
fn progress(view: &WorkView, step: Option<&str>, since: WallMs, now: WallMs) -> String {
    let row = &view.row;
    let live = view.runs.last().filter(|run| run.ended_at.is_none());
    let from = live.map_or(since, |run| run.claimed_at);
    let mut parts = vec![row.short.clone(), doing(view, step)];
    parts.extend(live.map(|run| run.agent.to_string()));
    parts.push(elapsed(from, now));
    let limit = view.max_cost.map_or_else(String::new, |limit| format!(" of {limit}"));
    parts.push(format!("{}{limit}", money(row.spent, row.unpriced)));
    parts.extend(live.and_then(|run| run.progress.as_deref()).map(plain));
    parts.join("  ")
}

/// Prints what came of works that are over, and what there is to take; a failure when one of them did not complete.
pub(crate) async fn finish(context: &Context, views: &[WorkView]) -> Result<(), Failure> {
    results(&context.out, views)?;
    match views {
        [view] if context.out.is_human() => made(context, view).await,
        _ => Ok(()),
    }
}

/// What a completed work changed, and how it is taken.
async fn made(context: &Context, view: &WorkView) -> Result<(), Failure> {
    let Ok((run, found)) = artefact::run(view, None, artefact::DIFF) else { return Ok(()) };
    let out = &context.out;
    out.flush()?;
    match artefact::diff(context, run, found).await {
        Ok(diff) => {
            for line in diffstat::lines(None, &diffstat::files(&String::from_utf8_lossy(&diff))) {
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
        Err(failure) => out.note(failure.message()),
    }
    if let Some(commit) = &run.commit {
        out.note(format!("commit {}, signed by {}", story::run::committed(commit), run.agent));
    }
    out.hint(format!("agentctl work diff {}", view.row.short));
    let protected = artefact::protected_note(run);
    let take = if protected.is_some() { " --include-protected" } else { "" };
    if let Some(note) = protected {
        out.note(note);
    }
    out.hint(format!("{}{take}", taken(view)));
    Ok(())
}

/// Prints what came of works that are over; a failure when one of them did not complete.
fn results(out: &Output, views: &[WorkView]) -> Result<(), Failure> {
    let printed = print(out, views);
    let failed: Vec<&WorkView> = views.iter().filter(|view| view.row.state != "completed").collect();
    // That a work failed is said even to who had enough of what was printed.
    let Some(first) = failed.first() else {
        return printed;
    };
    Err(Failure::work_failed(
        &format!("work {} {}", first.row.short, plain(&first.row.state)),
        first.row.reason.as_deref(),
        failed.len(),
    )
    .hint(format!("agentctl log {}", first.row.short)))
}

/// Prints the result of the one work, or how the many stand.
fn print(out: &Output, views: &[WorkView]) -> Result<(), Failure> {
    let result = |view: &WorkView| view.runs.last().and_then(|run| run.result.clone());
    match views {
        _ if out.is_quiet() => {}
        [one] if out.is_human() => {
            if let Some(result) = result(one).filter(|_| one.row.state == "completed") {
                // The result is data for whoever asked for it: as it is, not made safe for a terminal, unless it is one.
                let text = pretty(&result);
                let text = if out.width().is_some() { crate::output::plain_lines(&text) } else { text };
                out.raw(text.as_bytes())?;
                if !text.ends_with('\n') {
                    out.line("")?;
                }
            }
        }
        [one] => out.show(one, &[], |_| Ok(()))?,
        many => {
            let rows: Vec<_> = many.iter().map(|view| view.row.clone()).collect();
            out.show(&many, &[], |out| crate::command::work::list::table(out, &rows))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use agentd_schemas::view::WorkView;

    use super::*;
    use crate::output::Style;
    use crate::output::tests::written;

    fn view(state: &str, result: &serde_json::Value) -> WorkView {
        serde_json::from_value(serde_json::json!({
            "id": "w-aaaaaaaaaaaaaaaa", "short": "w-aaaa", "title": "t", "state": state, "owner": 1000, "agent": "fixer",
            "attempts": 1, "priority": 0, "submitted_at": "2026-11-22T08:00:00Z", "changed_at": "2026-11-22T08:00:00Z",
            "spent": "0.50 USD", "unpriced": false, "cursor": 1, "version": 3, "required_skills": [], "labels": {},
            "depends_on": [], "dependants": [], "children": [], "max_attempts": 2, "max_cost": "2 USD", "tokens": 0,
            "reserved": "0 USD", "acceptance": [], "breaches": [], "held": false, "notes": [],
            "runs": [{ "id": "w-aaaaaaaaaaaaaaaa.1", "agent": "fixer", "epoch": 1, "fence": "1.4",
                "claimed_at": "2026-11-22T08:00:01Z", "outcome": "live", "spent": "0.50 USD", "tokens": 0,
                "progress": "reading\u{1b}", "result": result }],
        }))
        .unwrap()
    }

    #[test]
    fn the_result_of_a_completed_work_is_all_of_stdout() {
        for (result, text) in
            [(serde_json::json!("done\n"), "done\n"), (serde_json::json!({"a": 1}), "{\n  \"a\": 1\n}\n")]
        {
            let view = view("completed", &result);
            assert_eq!(written(Style::default(), None, |out| results(out, &[view]).unwrap()), text);
        }
    }

    #[test]
    fn a_work_that_failed_is_exit_code_seven_and_no_result() {
        let view = view("failed", &serde_json::json!("half"));
        let text = written(Style::default(), None, |out| {
            let failure = results(out, std::slice::from_ref(&view)).unwrap_err();
            assert_eq!((failure.exit(), failure.message()), (7, "work w-aaaa failed"));
        });
        assert_eq!(text, "");
    }

    #[test]
    fn what_was_judged_is_said_once_with_the_end_of_what_was_said_about_it() {
        let mut view = view("running", &serde_json::Value::Null);
        let run = view.runs.first_mut().unwrap();
        run.verdicts =
            serde_json::from_value(serde_json::json!([{ "criterion": 0, "kind": "command", "met": false }])).unwrap();
        let lines: Vec<String> = (0..20).map(|line| format!("line {line}\u{1b}")).collect();
        run.message = Some(lines.join("\n"));
        let mut judged = BTreeSet::new();
        let met = |view: &mut WorkView, met| view.runs[0].verdicts[0].met = Some(met);
        met(&mut view, true);
        assert!(verdicts(&view, &mut judged).is_empty(), "without a workspace, what is met is no news");
        met(&mut view, false);
        assert_eq!(verdicts(&view, &mut judged).len(), 13);
        judged.clear();
        view.workspace = serde_json::from_value(serde_json::json!({ "content": "git" })).unwrap();
        let said = verdicts(&view, &mut judged);
        assert_eq!((said.len(), said[0].as_str()), (13, "w-aaaa  attempt 1: criterion 1 (command) not met"));
        assert_eq!(said[12], "    line 19\\u{1b}");
        assert!(verdicts(&view, &mut judged).is_empty());
        judged.clear();
        view.runs[0].verdicts.clear();
        assert!(verdicts(&view, &mut judged).is_empty(), "it goes on");
        view.runs[0].failure = Some(agentd_schemas::event::FailureReason::ProgramFailed);
        let said = verdicts(&view, &mut judged);
        assert_eq!((said.len(), said[0].as_str()), (13, "w-aaaa  attempt 1: program failed"));
    }

    #[test]
    fn what_passes_before_any_work_is_said_once() {
        let mut view = view("running", &serde_json::Value::Null);
        let mut tried = BTreeSet::new();
        assert!(passing(&view, &mut tried).is_empty());
        view.base_verdicts = serde_json::from_value(serde_json::json!([
            { "criterion": 0, "kind": "command", "met": true }, { "criterion": 1, "kind": "command", "met": false },
            { "criterion": 2, "kind": "person" },
        ]))
        .unwrap();
        let said = passing(&view, &mut tried);
        assert_eq!(said, ["w-aaaa  warning: criterion 1 (command) already passes without any change"]);
        assert!(passing(&view, &mut tried).is_empty());
    }

    #[test]
    fn progress_says_state_agent_time_money_and_what_it_does_now() {
        let view = view("running", &serde_json::Value::Null);
        let now: WallMs = "2026-11-22T08:01:06Z".parse().unwrap();
        let line = progress(&view, None, now, now);
        assert_eq!(line, "w-aaaa  running  fixer  1min 5s  0.50 USD of 2.00 USD  reading\\u{1b}");
        assert_eq!(change(&view, None), "running by fixer, attempt 1 of 2");
        assert_eq!(change(&view, Some("judging")), "judging by fixer, attempt 1 of 2");
        let mut view = view;
        view.row.frozen = true;
        view.freezes = serde_json::from_value(serde_json::json!([{
            "scope": { "agent": "fixer" }, "since": "2026-11-22T08:00:02Z", "actor": "uid:0", "reason": "odd\u{1b}",
        }]))
        .unwrap();
        let told = "running (frozen) by fixer, attempt 1 of 2 · uid:0 froze agent fixer: odd\\u{1b}";
        assert_eq!(change(&view, None), told);
    }
}
