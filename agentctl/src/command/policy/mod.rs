//! Policies: who may do what on this host.

mod check;
mod explain;
mod reload;
mod show;
mod test;

use std::ffi::OsString;
use std::path::PathBuf;

use agentd_schemas::view::{PoliciesView, PolicyRow};

use crate::context::{Context, read};
use crate::error::Failure;
use crate::output::{Cell, Output, Table, count};

/// What to do with policies.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Show(show::Args),
    Check(check::Args),
    Test(test::Args),
    Explain(explain::Args),
    Reload(reload::Args),
}

dispatch!(Command { Show Check Test Explain Reload });

/// The arguments of `agentd policy`: without a path those of the daemon that is reached, else those of its configuration.
async fn arguments(context: &Context, verb: &str, paths: Vec<PathBuf>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["policy".into(), verb.into()];
    if context.out.is_json() {
        arguments.push("--json".into());
    }
    arguments.push("--".into());
    if paths.is_empty() {
        arguments.extend(folder(context).await.map(OsString::from));
    }
    arguments.extend(paths.into_iter().map(OsString::from));
    arguments
}

/// The folder of the daemon that is reached, where there is such a folder.
async fn folder(context: &Context) -> Option<PathBuf> {
    let told = context.host().await.ok()?.policies().await.ok()?;
    let view: PoliciesView = read(&told).ok()?;
    view.folder.filter(|folder| folder.is_dir())
}

fn rows(out: &Output, rows: &[PolicyRow]) -> Result<(), Failure> {
    let mut table = Table::new(["ID", "EFFECT", "~WHERE", "~SAYS"]);
    for row in rows {
        let says = row.says.as_deref().map(|says| out.local(says));
        table.row([Cell::new(&row.id), Cell::new(&row.effect), Cell::new(&row.place), Cell::maybe(says)]);
    }
    out.table(&table)
}

/// What counts, in one line.
fn in_force(view: &PoliciesView) -> String {
    format!(
        "{} in force, {} of the host",
        count(view.policies.len() as u64, "rule"),
        count(view.files.len() as u64, "file")
    )
}
