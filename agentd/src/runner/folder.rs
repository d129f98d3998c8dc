//! The paths of one run, and the names of its steps.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use agentd_schemas::id::RunId;
use agentd_schemas::launch::{Answer, Request};

use super::files;
use super::host::Host;
use super::launcher::Launcher;

/// One thing that is started for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The workspace is made; standard input is what was handed in.
    Prepare,
    /// The work's setup command.
    Setup,
    /// The criterion in this place is tried on what the run begins with.
    Base(u32),
    /// The program; 1 for its first start, more where it goes on.
    Program(u32),
    /// What it changed is collected.
    Collect,
    /// The criterion in this place judges what was collected.
    Check(u32),
    /// The commit is stored and bundled.
    Seal,
}

impl Step {
    /// Its name, in paths too.
    pub fn name(self) -> String {
        match self {
            Self::Prepare => "prepare".to_owned(),
            Self::Setup => "setup".to_owned(),
            Self::Base(place) => format!("base-{place}"),
            Self::Program(0 | 1) => "program".to_owned(),
            Self::Program(start) => format!("program-{start}"),
            Self::Collect => "collect".to_owned(),
            Self::Check(place) => format!("check-{place}"),
            Self::Seal => "seal".to_owned(),
        }
    }

    /// Reads its name.
    pub fn parse(name: &str) -> Option<Self> {
        let step = match name {
            "prepare" => Self::Prepare,
            "setup" => Self::Setup,
            "program" => Self::Program(1),
            "collect" => Self::Collect,
            "seal" => Self::Seal,
            _ => {
                let (kind, number) = name.split_once('-')?;
                let number = number.parse().ok()?;
                match kind {
                    "base" => Self::Base(number),
                    "program" => Self::Program(number),
                    "check" => Self::Check(number),
                    _ => return None,
                }
            }
        };
        // One step has one name: no leading zeros, no `program-1`.
        (step.name() == name).then_some(step)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// The paths of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
    run: RunId,
    launcher: Option<Launcher>,
}

impl Folder {
    /// Those of a run, whether or not they are there.
    pub fn of(host: &Host, run: RunId) -> Self {
        Self { path: host.runs.join(run.to_string()), run, launcher: host.launcher.clone() }
    }

    /// The run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The launcher, where it is a service of its own.
    pub(super) fn launcher(&self) -> Option<&Launcher> {
        self.launcher.as_ref()
    }

    /// Opens a regular file below the folder. No part of `name` may be a link; a file that is not there is `None`. What the
    /// run's user keeps to itself the launcher opens.
    pub(super) fn open(&self, name: &Path) -> io::Result<Option<File>> {
        match (files::open_below(&self.path, name), &self.launcher) {
            (Err(error), Some(launcher)) if error.kind() == io::ErrorKind::PermissionDenied => {
                match launcher.ask_until_answered(&Request::Open { run: self.run, path: name.to_owned() })? {
                    (Answer::Opened, Some(file)) => Ok(Some(file.into())),
                    (Answer::Absent, _) => Ok(None),
                    (answer, _) => Err(launcher.unexpected(answer)),
                }
            }
            (opened, _) => opened,
        }
    }

    /// Reads such a file; more than `most` bytes are an error.
    pub(super) fn read(&self, name: &Path, most: usize) -> io::Result<Option<Vec<u8>>> {
        self.open(name)?.map(|file| files::read(file, &self.path.join(name), most)).transpose()
    }

    /// The folder of the run.
    pub fn folder(&self) -> &Path {
        &self.path
    }

    /// The launch spec of a step, as the daemon wrote it.
    pub fn spec(&self, step: Step) -> PathBuf {
        self.path.join(format!("{step}.json"))
    }

    /// The record of a step.
    pub fn record(&self, step: Step) -> PathBuf {
        self.path.join(step.name())
    }

    /// Where the program works.
    pub fn workspace(&self) -> PathBuf {
        self.path.join("workspace")
    }

    /// The program's home.
    pub fn home(&self) -> PathBuf {
        self.path.join("home")
    }

    /// The agent's files. Its name is no step's: `program/` is a record.
    pub fn program(&self) -> PathBuf {
        self.path.join("agent")
    }

    /// The task as files.
    pub fn task(&self) -> PathBuf {
        self.path.join("task")
    }

    /// The folder of the run's socket.
    pub fn door(&self) -> PathBuf {
        self.path.join("door")
    }

    /// What the daemon notes for itself.
    pub fn note(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// What the run began with.
    pub fn base(&self) -> PathBuf {
        self.path.join("base")
    }

    /// What was collected.
    pub fn result(&self) -> PathBuf {
        self.path.join("result")
    }

    /// Temporary files below level strict.
    pub fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// The checkout that a step judges.
    pub fn judge(&self, step: Step) -> PathBuf {
        self.path.join(format!("judge-{step}"))
    }

    /// The home of a command that judges.
    pub fn judge_home(&self, step: Step) -> PathBuf {
        self.path.join(format!("home-{step}"))
    }

    /// The diff that `collect` wrote.
    pub fn changes(&self) -> PathBuf {
        self.result().join("changes.diff")
    }

    /// The bundle that `seal` wrote.
    pub fn bundle(&self) -> PathBuf {
        self.result().join("result.bundle")
    }
}

/// The socket of a run.
pub fn run_socket(folder: &Folder) -> PathBuf {
    folder.door().join("run.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_one_name() {
        let steps = [
            Step::Prepare,
            Step::Setup,
            Step::Base(0),
            Step::Program(1),
            Step::Program(2),
            Step::Collect,
            Step::Check(12),
            Step::Seal,
        ];
        for step in steps {
            assert_eq!(Step::parse(&step.name()), Some(step));
        }
        for name in ["", "program-1", "program-0", "check-", "check-01", "check--1", "check-+1", "Seal", "judge-1"] {
            assert_eq!(Step::parse(name), None, "{name}");
        }
    }
}
