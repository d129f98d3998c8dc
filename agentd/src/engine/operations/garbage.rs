//! What runs left behind and nobody needs any more: folders, uploads, artefacts.

use std::collections::BTreeSet;

use agentd_schemas::event::EventData;
use agentd_schemas::id::RunId;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::view::{GarbageRow, GarbageView};

use crate::engine::Engine;
use crate::ledger::load;
use crate::ledger::open::open_reader;
use crate::policy::{Action, Caller, Resource};
use crate::runner::garbage::{self, Keep};
use crate::runner::{Folder, Host};

impl Engine {
    /// Removes what is over its time, or says what that is.
    pub async fn collect_garbage(&self, caller: &Caller, dry_run: bool) -> Result<GarbageView, Problem> {
        self.permit(caller, Action::HostManage, &Resource::host())?;
        self.clear_up(dry_run).await
    }

    /// The same, by the daemon itself.
    pub(in crate::engine) async fn clear_up(&self, dry_run: bool) -> Result<GarbageView, Problem> {
        let Some(supervisor) = self.0.supervisor.clone() else {
            return Err(Problem::new(Code::WrongState, "this agentd starts no agents: there is nothing to clear up"));
        };
        let runs = supervisor.runs.clone();
        let mut living: BTreeSet<RunId> = supervisor.living().into_iter().collect();
        let live = self.0.live.all().into_iter();
        living.extend(live.map(|live| RunId { work: live.run.work, attempt: live.run.attempt }));
        let database = self.host().state.join("ledger.db");
        let now_s = u64::try_from(self.0.clock.wall_ms() / 1000).unwrap_or(0);
        let cleared = tokio::task::spawn_blocking(move || {
            let conn = open_reader(&database).map_err(Problem::internal)?;
            let (content, artefacts) = needed(&conn)?;
            let keep = Keep {
                runs: living,
                content,
                artefacts,
                runs_s: runs.keep_workspaces_ms / 1000,
                content_s: runs.keep_uploads_ms / 1000,
                artefacts_s: runs.keep_artefacts_ms / 1000,
            };
            let found = garbage::find(&runs.host, &keep, now_s).map_err(Problem::internal)?;
            Ok(clear(&runs.host, &found, dry_run))
        });
        cleared.await.map_err(Problem::internal)?
    }
}

type Needed = (BTreeSet<(u32, String)>, BTreeSet<String>);

/// Content that open works begin with, and artefacts of works under hold.
fn needed(conn: &rusqlite::Connection) -> Result<Needed, Problem> {
    let mut content = BTreeSet::new();
    for body in load::programs::open_with_workspace(conn).map_err(Problem::internal)? {
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

fn clear(host: &Host, found: &garbage::Garbage, dry_run: bool) -> GarbageView {
    let mut view = GarbageView { dry_run, ..GarbageView::default() };
    for run in &found.runs {
        let bytes = garbage::folder_bytes(&Folder::of(host, *run));
        let done = if dry_run { Ok(()) } else { garbage::remove_run(host, *run) };
        note(&mut view, format!("folder of run {run}"), bytes, done);
    }
    for kept in &found.files {
        let done = if dry_run { Ok(()) } else { garbage::remove_file(kept) };
        let kind = if kept.path.starts_with(&host.artefacts) { "artefact" } else { "upload" };
        note(&mut view, format!("{kind} {}", kept.sha256), kept.bytes, done);
    }
    view
}

fn note(view: &mut GarbageView, what: String, bytes: u64, done: std::io::Result<()>) {
    match done {
        Ok(()) => {
            view.bytes += bytes;
            view.removed.push(GarbageRow { what, bytes });
        }
        Err(error) => view.failed.push(format!("{what}: {error}")),
    }
}
