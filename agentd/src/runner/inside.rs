//! What a program finds around it: its places, its environment, and what its templates name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agentd_schemas::launch::Access;

use super::folder::run_socket;
use super::host::{Context, Job, Refused};
use super::lay_out::{INSTRUCTIONS, PREVIOUS, TASK};
use super::result::RESULT_FILE;
use super::spec::Making;
use super::template::Values;

/// Where programs look for programs.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Home at level strict: empty memory where nothing is mounted.
pub(super) const STRICT_HOME: &str = "/home/agent";
/// Folder for temporary files at level strict, which is memory.
pub(super) const STRICT_TMP: &str = "/tmp";

/// Where things are as the program sees them.
pub(super) struct Inside {
    pub(super) workspace: PathBuf,
    pub(super) home: PathBuf,
    pub(super) program: PathBuf,
    pub(super) task: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) tmp: PathBuf,
}

impl Making<'_> {
    /// What the program sees, and so its setup.
    pub(super) fn for_the_program(&mut self, context: &Context) -> Result<Inside, Refused> {
        let workspace = self.places.own(self.folder.workspace(), "/workspace", Access::Write);
        if context.base.is_some() || self.job.has_repository() {
            // The repository in the workspace borrows its objects.
            self.places.own(self.folder.base(), "/run/base", Access::Read);
        }
        let home = self.places.own(self.folder.home(), STRICT_HOME, Access::Write);
        let program = self.places.show(self.folder.program(), "/opt/agent", Access::Read);
        let task = self.places.show(self.folder.task(), "/run/task", Access::Read);
        let door = self.places.show(self.folder.door(), "/run/door", Access::Read);
        let tmp = if self.strict() {
            PathBuf::from(STRICT_TMP)
        } else {
            self.places.own(self.folder.tmp(), STRICT_TMP, Access::Write)
        };
        for path in self.job.readable(self.host)? {
            self.places.host(&path);
        }
        let socket = run_socket(&self.folder);
        let socket = door.join(socket.file_name().unwrap_or_default());
        Ok(Inside { workspace, home, program, task, socket, tmp })
    }

    /// The environment of the program, before what its agent says.
    pub(super) fn environment(&self, inside: &Inside) -> Result<BTreeMap<String, String>, Refused> {
        let mut environment = base_environment(&inside.home, &inside.tmp)?;
        for profile in self.job.profiles(self.host)? {
            environment.extend(profile.environment.clone());
        }
        let own = [
            ("AGENTD_WORK", self.job.run.work.to_string()),
            ("AGENTD_RUN", self.job.run.to_string()),
            ("AGENTD_ATTEMPT", self.job.run.attempt.to_string()),
            ("AGENTD_AGENT", self.job.agent.as_str().to_owned()),
            ("AGENTD_TASK", text(&inside.task.join(TASK))?),
            ("AGENTD_RUN_SOCKET", text(&inside.socket)?),
        ];
        environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Ok(environment)
    }

    /// What its templates name.
    pub(super) fn values(&self, inside: &Inside, context: &Context) -> Result<Values, Refused> {
        let claim = &self.job.claim;
        Ok(Values::new([
            ("agent", self.job.agent.as_str().to_owned()),
            ("attempt", self.job.run.attempt.to_string()),
            ("base", context.base.clone().unwrap_or_default()),
            ("home", text(&inside.home)?),
            ("instructions", claim.instructions.clone()),
            ("instructions_file", text(&inside.task.join(INSTRUCTIONS))?),
            ("previous_file", text(&inside.task.join(PREVIOUS))?),
            ("program_dir", text(&inside.program)?),
            ("result_file", text(&inside.home.join(RESULT_FILE))?),
            ("run", self.job.run.to_string()),
            ("session", context.session.clone().unwrap_or_default()),
            ("socket", text(&inside.socket)?),
            ("task", task(self.job)?),
            ("task_file", text(&inside.task.join(TASK))?),
            ("title", claim.title.clone()),
            ("work", self.job.run.work.to_string()),
            ("workspace", text(&inside.workspace)?),
        ]))
    }
}

/// The task as one JSON document.
pub(super) fn task(job: &Job) -> Result<String, Refused> {
    serde_json::to_string(&job.claim).map_err(|error| Refused(format!("the task cannot be written: {error}")))
}

/// A path as a word.
pub(super) fn text(path: &Path) -> Result<String, Refused> {
    let text = path.to_str().filter(|text| !text.contains('\n'));
    text.map(str::to_owned).ok_or_else(|| Refused(format!("{} is no path for programs", path.display())))
}

/// What every step has in its environment.
pub(super) fn base_environment(home: &Path, tmp: &Path) -> Result<BTreeMap<String, String>, Refused> {
    let pairs = [
        ("PATH", PATH.to_owned()),
        ("HOME", text(home)?),
        ("USER", "agent".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("TMPDIR", text(tmp)?),
    ];
    Ok(pairs.map(|(name, value)| (name.to_owned(), value)).into())
}
