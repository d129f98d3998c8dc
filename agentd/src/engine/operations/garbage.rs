//! What runs left behind and nobody needs any more: folders, uploads, artefacts.

use std::collections::BTreeSet;

use agentd_schemas::event::EventData;
use agentd_schemas::id::RunId;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::{GarbageRow, GarbageView};

use crate::engine::Engine;
use crate::engine::supervise::Supervisor;
use crate::ledger::load;
use crate::ledger::open::open_reader;
use crate::policy::{Action, Caller, Resource};
use crate::runner::content::Kept;
use crate::runner::garbage::{self, Keep};
use crate::runner::{self, Folder, Host, keep};

impl Engine {
    /// Removes what is over its time, or says what that is.
    pub async fn collect_garbage(&self, caller: &Caller, dry_run: bool) -> Result<GarbageView, Problem> {
        self.permit_witnessed(caller, Action::HostManage, &Resource::host()).await?;
        self.clear_up(dry_run).await
    }

    /// The same, by the daemon itself.
    pub(in crate::engine) async fn clear_up(&self, dry_run: bool) -> Result<GarbageView, Problem> {
        let Some(supervisor) = self.0.supervisor.clone() else {
            return Err(Problem::new(Code::WrongState, "this agentd starts no agents: there is nothing to clear up"));
        };
        let (runs, bounds) = (supervisor.runs.clone(), supervisor.bounds.get());
        let living = self.living(&supervisor);
        let database = self.host().state.join("ledger.db");
        // Where no run may begin for want of room, what failed does not stay.
        let keep_runs_ms = if supervisor.is_full() { 0 } else { bounds.keep_workspaces_ms };
        let now_s = u64::try_from(self.0.clock.wall_ms() / 1000).unwrap_or(0);
        let kept_ms = i64::try_from(bounds.keep_workspaces_ms).unwrap_or(i64::MAX);
        let retried_since = WallMs::saturating(self.0.clock.wall_ms().saturating_sub(kept_ms));
        let cleared = tokio::task::spawn_blocking(move || {
            let conn = open_reader(&database).map_err(Problem::internal)?;
            let mut needs = Needs::read(&conn, retried_since)?;
            let (content, artefacts) = needs.needed.clone();
            let keep = Keep {
                runs: living,
                content,
                artefacts,
                runs_s: keep_runs_ms / 1000,
                content_s: bounds.keep_uploads_ms / 1000,
                artefacts_s: bounds.keep_artefacts_ms / 1000,
            };
            let mut found = garbage::find(&runs.host, &keep, now_s).map_err(Problem::internal)?;
            also(&mut found, erased(&conn, &runs.host, &keep.runs)?);
            Ok(clear(&runs.host, &found, dry_run, |kept| needs.again(&conn, kept)))
        });
        cleared.await.map_err(Problem::internal)?
    }

    /// Removes what lies beside the ledger of works whose content was erased. What cannot be removed now, is at the next
    /// clearing.
    pub(super) async fn remove_erased(&self) -> Result<(), Problem> {
        let Some(supervisor) = self.0.supervisor.clone() else { return Ok(()) };
        let (host, living) = (supervisor.runs.host.clone(), self.living(&supervisor));
        let database = self.host().state.join("ledger.db");
        let removed = tokio::task::spawn_blocking(move || {
            let conn = open_reader(&database).map_err(Problem::internal)?;
            // What another work comes to name is stored again, and then it is not what was found here.
            Ok::<_, Problem>(clear(&host, &erased(&conn, &host, &living)?, false, |_| Ok(false)))
        });
        for failed in removed.await.map_err(Problem::internal)??.failed {
            tracing::warn!("of a work whose content was erased, this could not be removed yet: {failed}");
        }
        Ok(())
    }

    /// Runs that are not over.
    fn living(&self, supervisor: &Supervisor) -> BTreeSet<RunId> {
        let mut living: BTreeSet<RunId> = supervisor.living().into_iter().collect();
        let live = self.0.live.all().into_iter();
        living.extend(live.map(|live| RunId { work: live.run.work, attempt: live.run.attempt }));
        living
    }
}

type Needed = (BTreeSet<(u32, String)>, BTreeSet<String>);

/// What is needed, as the ledger is now.
struct Needs {
    needed: Needed,
    retried_since: WallMs,
    /// What sqlite calls the state that it was read from; it is another one after each commit.
    version: i64,
}

impl Needs {
    fn read(conn: &rusqlite::Connection, retried_since: WallMs) -> Result<Self, Problem> {
        // Before the rest: what is committed in between is seen at the next look.
        let version = version(conn)?;
        Ok(Self { needed: needed(conn, retried_since)?, retried_since, version })
    }

    /// Whether a file that was found is needed now.
    fn again(&mut self, conn: &rusqlite::Connection, kept: &Kept) -> Result<bool, Problem> {
        if version(conn)? != self.version {
            *self = Self::read(conn, self.retried_since)?;
        }
        let (content, artefacts) = &self.needed;
        Ok(content.contains(&(kept.uid, kept.sha256.clone())) || kept.uid == 0 && artefacts.contains(&kept.sha256))
    }
}

fn version(conn: &rusqlite::Connection) -> Result<i64, Problem> {
    conn.query_row("PRAGMA data_version", [], |row| row.get(0)).map_err(Problem::internal)
}

/// Content that works begin with that are open or may be retried, and artefacts of works under hold.
fn needed(conn: &rusqlite::Connection, retried_since: WallMs) -> Result<Needed, Problem> {
    let mut content = BTreeSet::new();
    for body in load::programs::open_with_workspace(conn, retried_since).map_err(Problem::internal)? {
        if let Some(sha256) = body.workspace.and_then(|workspace| workspace.sha256) {
            content.insert((body.owner, sha256));
        }
    }
    let mut artefacts = BTreeSet::new();
    for data in load::programs::held_results(conn).map_err(Problem::internal)? {
        let made = match data {
            EventData::ResultJudged(data) => data.artefacts,
            EventData::WorkCompleted(data) => data.artefacts,
            EventData::AttemptFailed(data) => data.artefacts,
            _ => Vec::new(),
        };
        artefacts.extend(made.into_iter().map(|artefact| artefact.sha256));
    }
    Ok((content, artefacts))
}

/// What lies here of works whose content was erased.
fn erased(conn: &rusqlite::Connection, host: &Host, living: &BTreeSet<RunId>) -> Result<garbage::Garbage, Problem> {
    let is_there = |sha256: &str| host.artefacts.join(sha256).exists();
    let erased = load::erased::erased(conn, is_there).map_err(Problem::internal)?;
    let there = |run: &RunId| !living.contains(run) && Folder::of(host, *run).folder().exists();
    let mut found = garbage::Garbage::default();
    found.runs.extend(erased.runs.into_iter().filter(there));
    let kept = runner::content::list_artefacts(host).map_err(Problem::internal)?;
    found.files.extend(kept.into_iter().filter(|kept| erased.artefacts.contains(&kept.sha256)));
    Ok(found)
}

/// Adds what is not found already.
fn also(found: &mut garbage::Garbage, more: garbage::Garbage) {
    found.runs.extend(more.runs);
    found.runs.sort_unstable();
    found.runs.dedup();
    let files = more.files.into_iter().filter(|file| !found.files.contains(file)).collect::<Vec<_>>();
    found.files.extend(files);
}

/// Removes what was found. `is_needed` says of a file whether it is needed by now.
fn clear(
    host: &Host,
    found: &garbage::Garbage,
    dry_run: bool,
    mut is_needed: impl FnMut(&Kept) -> Result<bool, Problem>,
) -> GarbageView {
    let mut view = GarbageView { dry_run, ..GarbageView::default() };
    for run in &found.runs {
        let bytes = garbage::folder_bytes(&Folder::of(host, *run));
        let done = if dry_run { Ok(()) } else { garbage::remove_run(host, *run) };
        note(&mut view, format!("folder of run {run}"), bytes, done.map(|()| true));
    }
    for kept in &found.files {
        let needed = || is_needed(kept).map_err(std::io::Error::other);
        let done = if dry_run { Ok(true) } else { keep::remove(kept, needed) };
        let kind = if kept.path.starts_with(&host.artefacts) { "artefact" } else { "upload" };
        note(&mut view, format!("{kind} {}", kept.sha256), kept.bytes, done);
    }
    view
}

fn note(view: &mut GarbageView, what: String, bytes: u64, done: std::io::Result<bool>) {
    match done {
        // It is needed again.
        Ok(false) => {}
        Ok(true) => {
            view.bytes += bytes;
            view.removed.push(GarbageRow { what, bytes });
        }
        Err(error) => view.failed.push(format!("{what}: {error}")),
    }
}
