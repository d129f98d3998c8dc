//! `agentctl work apply`

use std::path::PathBuf;

use agentd_schemas::document::workspace::ContentKind;
use agentd_schemas::event::CommitRef;
use agentd_schemas::view::{AgentView, RunView, WorkView};

use crate::agent_keys;
use crate::apply::incoming::Named;
use crate::apply::{self, Applied, Way};
use crate::artefact::{self, BUNDLE, DIFF};
use crate::content::keep;
use crate::context::{Context, read};
use crate::error::Failure;
use crate::git::repository::Repository;
use crate::output::plain;

/// Take the result of a work into your repository
///
/// The bundle must be the one that the ledger names, and its commit be signed by the agent. Where the branch has not moved
/// since the submit it goes forward to that commit; else a commit with the same change is made on top. Where files that are
/// not committed are in the way, or the change conflicts, nothing is touched. Twice does no more than once. Where the run
/// changed protected paths, what was judged is not what its commit has: that is taken only with --include-protected. Symbolic
/// links that lead out of the tree, and names with control characters, are taken only with --unsafe-paths.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl work apply @\n  agentctl work apply @ --no-commit\n  \
    agentctl work apply w-7kq --branch fixes")]
pub(crate) struct Args {
    /// The work: an id, a unique prefix of one, or @
    work: String,
    /// This attempt, also one that was not accepted; without, the one that completed the work
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// Only make this branch with the agent's commit
    #[arg(long, value_name = "NAME", conflicts_with_all = ["no_commit", "folder"])]
    branch: Option<String>,
    /// Change the files and the index, and commit nothing
    #[arg(long, conflicts_with = "folder")]
    no_commit: bool,
    /// The repository; without, the one that the work was submitted from
    #[arg(long, value_name = "PATH", conflicts_with = "folder")]
    repo: Option<PathBuf>,
    /// Of a work on a folder: apply the changes to this folder
    #[arg(long, value_name = "PATH")]
    folder: Option<PathBuf>,
    /// With its changes to protected paths, that nothing judged
    #[arg(long)]
    include_protected: bool,
    /// With links that lead out of the tree, and names with control characters
    #[arg(long)]
    unsafe_paths: bool,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let view = artefact::work(context, &self.work).await?;
        self.is_accepted(&view)?;
        let is_folder =
            view.workspace.as_ref().is_some_and(|workspace| workspace.base.content == Some(ContentKind::Tar));
        if is_folder || self.folder.is_some() {
            return self.to_folder(context, &view).await;
        }
        let (run, bundle) = artefact::run(&view, self.attempt, BUNDLE)?;
        self.is_judged(&view, run)?;
        let short = &view.row.short;
        let workspace = view.workspace.as_ref();
        let base = workspace.and_then(|workspace| workspace.base.base.as_deref());
        let (Some(base), Some(commit)) = (base, &run.commit) else {
            return Err(Failure::not_found(format!("attempt {} of work {short} made no commit", run.id.attempt)));
        };
        let place = self.repo.clone().or_else(|| Some(PathBuf::from(workspace?.repository.clone()?)));
        let place = place.ok_or_else(|| {
            Failure::usage(format!("where work {short} was submitted from is not known")).hint("--repo PATH names it")
        })?;
        let repository = Repository::open(&place)?;
        let agent: AgentView = read(&context.agents().await?.show(run.agent.as_str()).await?)?;
        let keys: Vec<_> = agent_keys::of(context, &agent).await?.into_iter().map(|had| had.key).collect();
        let file = artefact::fetch(context, run, bundle).await?;
        let of = format!("{short}, attempt {}", run.id.attempt);
        let named = Named { commit: &commit.id, base, keys: &keys, of: &of };
        let reference = format!("refs/agentd/{}/{}", run.id.work, run.id.attempt);
        let way = match (&self.branch, self.no_commit) {
            (Some(branch), _) => Way::Branch(branch.clone()),
            (None, true) => Way::NoCommit,
            (None, false) => Way::Commit,
        };
        let bases = keep::folder().ok();
        let applied = apply::apply(&repository, &file, &named, &reference, &way, bases.as_deref(), self.unsafe_paths)?;
        self.say(context, &view, run, commit, &repository, &applied)
    }

    /// A result that nobody accepted is taken only by its number.
    fn is_accepted(&self, view: &WorkView) -> Result<(), Failure> {
        if self.attempt.is_some() || view.row.state == "completed" {
            return Ok(());
        }
        let (short, state) = (&view.row.short, plain(&view.row.state));
        let made =
            |run: &&RunView| run.artefacts.iter().any(|artefact| [BUNDLE, DIFF].contains(&artefact.name.as_str()));
        let failure = Failure::local(format!("work {short} is not completed: it is {state}"));
        Err(match view.runs.iter().rev().find(made) {
            Some(run) => failure.hint(format!(
                "agentctl work apply {short} --attempt {} takes what that attempt made all the same",
                run.id.attempt
            )),
            None if crate::command::work::show::is_past(&view.row.state) => {
                failure.hint(format!("no attempt made anything: agentctl why {short}"))
            }
            None => {
                failure.hint(format!("no attempt made anything yet: agentctl watch {short}, or agentctl why {short}"))
            }
        })
    }

    /// What commands judged had protected paths put back, and the commit has not.
    fn is_judged(&self, view: &WorkView, run: &RunView) -> Result<(), Failure> {
        let Some(note) = artefact::protected_note(run).filter(|_| !self.include_protected) else { return Ok(()) };
        let short = &view.row.short;
        Err(Failure::local(note)
            .hint(format!(
                "read it: agentctl work diff {short}; agentctl work apply {short} --include-protected takes it all the same"
            ))
            .detail("protected_changed", artefact::protected(run)))
    }

    async fn to_folder(&self, context: &Context, view: &WorkView) -> Result<(), Failure> {
        let short = &view.row.short;
        let folder = self.folder.as_ref().ok_or_else(|| {
            Failure::usage(format!("work {short} began from a folder and no repository")).hint(crate::wait::taken(view))
        })?;
        let (run, diff) = artefact::run(view, self.attempt, DIFF)?;
        self.is_judged(view, run)?;
        let file = artefact::fetch(context, run, diff).await?;
        let of = format!("{short}, attempt {}", run.id.attempt);
        let applied = apply::to_folder(folder, file, &of, self.unsafe_paths)?;
        let place = folder.display().to_string();
        let words = match applied {
            Applied::Already => format!("{place} has the changes of {short} already"),
            _ => format!("changed files in {place}: {short}, attempt {}", run.id.attempt),
        };
        let told = serde_json::json!({ "run": run.id, "folder": place, "applied": word(&applied) });
        context.out.show(&told, std::slice::from_ref(&place), |out| out.line(plain(&words)))
    }

    fn say(
        &self,
        context: &Context,
        view: &WorkView,
        run: &RunView,
        commit: &CommitRef,
        repository: &Repository,
        applied: &Applied,
    ) -> Result<(), Failure> {
        let (short, attempt) = (&view.row.short, run.id.attempt);
        let place = repository.top.display();
        let on = repository.branch()?.map_or_else(|| "HEAD".to_owned(), |branch| format!("branch {branch}"));
        let branch = self.branch.as_deref().unwrap_or_default();
        let at = |id: &str| id.get(..12).unwrap_or(id).to_owned();
        let made = match applied {
            Applied::Picked(made) => Some(made.as_str()),
            Applied::Forward | Applied::Branch => Some(commit.id.as_str()),
            _ => None,
        };
        let words = match applied {
            Applied::Already => format!("{place} has the result of {short}, attempt {attempt}, already"),
            Applied::Forward => format!("{on} of {place} is at {}, signed by {}", at(&commit.id), run.agent),
            Applied::Picked(made) => format!("{on} of {place} has {} on top, picked from {}", at(made), at(&commit.id)),
            Applied::Staged => format!("{place} has the changes of {short}, attempt {attempt}; they are not committed"),
            Applied::Files => format!("files in {place} have the changes of {short}, attempt {attempt}"),
            Applied::Branch => format!("branch {branch} of {place} is at {}, signed by {}", at(&commit.id), run.agent),
        };
        let told = serde_json::json!({
            "run": run.id, "repository": repository.top, "applied": word(applied), "commit": made, "of": commit.id,
        });
        let ids = vec![made.unwrap_or(&commit.id).to_owned()];
        context.out.show(&told, &ids, |out| out.line(plain(&words)))?;
        match applied {
            Applied::Forward | Applied::Branch => context.out.hint(format!(
                "agentctl agent signers {} > FILE, for git log --show-signature to verify it",
                run.agent
            )),
            Applied::Staged => context.out.hint("git diff --cached, then git commit"),
            Applied::Files => {
                context.out.note("it began from files that are not committed: these were changed, no commit was made");
            }
            _ => {}
        }
        Ok(())
    }
}

fn word(applied: &Applied) -> &'static str {
    match applied {
        Applied::Already => "already",
        Applied::Forward => "forward",
        Applied::Picked(_) => "picked",
        Applied::Staged => "staged",
        Applied::Files => "files",
        Applied::Branch => "branch",
    }
}
