//! Waiting for works: progress on stderr, the outcome as an exit code. Ctrl-C detaches; it never cancels.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use agentd_schemas::event::WaitReason;
use agentd_schemas::id::WorkId;
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::{EventView, WorkView};

use crate::ambient;
use crate::command::work::show::{is_past, pretty};
use crate::context::{Context, read};
use crate::error::{Failure, INTERRUPTED};
use crate::follow::Follower;
use crate::output::{Output, elapsed, money, plain};
use crate::story;

/// Between two looks at what a run is doing now, which no event says.
const LOOK: Duration = Duration::from_secs(1);

/// The works that are waited for, as they stand.
struct Watched {
    since: WallMs,
    views: BTreeMap<WorkId, WorkView>,
    said: BTreeMap<WorkId, String>,
    screen: Screen,
}

/// Where progress is shown: one line that is rewritten, or a line for each change.
struct Screen {
    quiet: bool,
    rewrites: bool,
    width: usize,
    drawn: bool,
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
            events = follower.more() => concerned(&events?, ids),
            () = tokio::time::sleep(LOOK) => watched.alone(),
        };
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
        let rewrites = std::io::stderr().is_terminal() && !out.is_quiet() && !out.is_json();
        let screen = Screen { quiet: out.is_quiet(), rewrites, width: out.width().unwrap_or(100), drawn: false };
        Self { since: ambient::now(), views: BTreeMap::new(), said: BTreeMap::new(), screen }
    }

    /// The one work that is left, so that what it does now can be shown.
    fn alone(&self) -> Vec<WorkId> {
        let mut open = self.views.values().filter(|view| !is_past(&view.row.state)).map(|view| view.row.id);
        match (open.next(), open.next()) {
            (Some(one), None) => vec![one],
            _ => Vec::new(),
        }
    }

    async fn look(&mut self, follower: &Follower<'_>, due: &[WorkId]) -> Result<(), Failure> {
        if !due.is_empty() {
            let works = follower.works().await?;
            for id in due {
                match works.show(&id.to_string()).await.map_err(Failure::from) {
                    Ok(view) => self.seen(read(&view)?),
                    // The next look goes to the daemon that comes back.
                    Err(failure) if failure.is_broken() => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        self.draw();
        Ok(())
    }

    /// Takes a look at a work, and says what changed since the last.
    fn seen(&mut self, view: WorkView) {
        let now = change(&view);
        let id = view.row.id;
        if self.said.get(&id) != Some(&now) {
            self.screen.say(&format!("{}  {now}", view.row.short));
            self.said.insert(id, now);
        }
        self.views.insert(id, view);
    }

    fn draw(&mut self) {
        let now = ambient::now();
        let line = if let Some(view) = self.alone().first().and_then(|id| self.views.get(id)) {
            progress(view, self.since, now)
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
fn change(view: &WorkView) -> String {
    let row = &view.row;
    let mut text = plain(&row.state);
    if let Some(agent) =
        row.agent.as_ref().filter(|_| !matches!(row.state.as_str(), "ready" | "parked" | "scheduled" | "blocked"))
    {
        text.push_str(&format!(" by {agent}, attempt {} of {}", row.attempts, view.max_attempts));
    }
    if let Some(reason) = &row.reason {
        text.push_str(&format!(": {}", plain(reason)));
    }
    match (row.state.as_str(), &view.waiting_for) {
        ("verifying", _) => {
            text.push_str(&format!(" · agentctl accept {0}, or agentctl reject {0} --reason …", row.short));
        }
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

/// What one work is doing now: state, agent, elapsed, spent, and its own words.
fn progress(view: &WorkView, since: WallMs, now: WallMs) -> String {
    let row = &view.row;
    let live = view.runs.last().filter(|run| run.ended_at.is_none());
    let from = live.map_or(since, |run| run.claimed_at);
    let mut parts = vec![row.short.clone(), plain(&row.state)];
    parts.extend(live.map(|run| run.agent.to_string()));
    parts.push(elapsed(from, now));
    let limit = view.max_cost.map_or_else(String::new, |limit| format!(" of {limit}"));
    parts.push(format!("{}{limit}", money(row.spent, row.unpriced)));
    parts.extend(live.and_then(|run| run.progress.as_deref()).map(plain));
    parts.join("  ")
}

impl Screen {
    fn say(&mut self, line: &str) {
        if self.quiet {
            return;
        }
        self.clear();
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    fn draw(&mut self, line: &str) {
        if !self.rewrites {
            return;
        }
        let short: String = line.chars().take(self.width.saturating_sub(1)).collect();
        let _ = write!(std::io::stderr(), "\r\x1b[K{short}");
        self.drawn = true;
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// Prints what came of works that are over; a failure when one of them did not complete.
pub(crate) fn results(out: &Output, views: &[WorkView]) -> Result<(), Failure> {
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
    fn progress_says_state_agent_time_money_and_what_it_does_now() {
        let view = view("running", &serde_json::Value::Null);
        let now: WallMs = "2026-11-22T08:01:06Z".parse().unwrap();
        let line = progress(&view, now, now);
        assert_eq!(line, "w-aaaa  running  fixer  1min 5s  0.50 USD of 2.00 USD  reading\\u{1b}");
        assert_eq!(change(&view), "running by fixer, attempt 1 of 2");
    }
}
