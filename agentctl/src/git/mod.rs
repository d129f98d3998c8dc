//! The person's own git, run so that nothing of a repository runs with it.
//!
//! A repository may be hostile: its configuration can name programs (hooks, filters, merge drivers, file watchers,
//! transports) that git would start with the rights of who looks at it. Every command here runs with a cleared
//! environment and with all of those switched off, and none speaks to another repository.

pub(crate) mod diffstat;
pub(crate) mod repository;
pub(crate) mod scratch;
#[cfg(test)]
pub(crate) mod trial;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::ambient;
use crate::error::{Failure, said};

/// Settings that start no program and change nothing that nobody asked for.
const QUIET: [(&str, &str); 14] = [
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.alternateRefsCommand", "true"),
    ("core.sshCommand", "false"),
    ("credential.helper", ""),
    ("protocol.allow", "never"),
    ("protocol.ext.allow", "never"),
    ("gpg.program", "false"),
    ("gpg.ssh.program", "false"),
    ("commit.gpgSign", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("submodule.recurse", "false"),
    ("status.showStash", "false"),
];

/// How a command of git ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code; absent where a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it answered.
    pub(crate) stdout: Vec<u8>,
    /// What it complained about.
    pub(crate) stderr: String,
}

/// Git at one place.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    place: PathBuf,
    config: Vec<(OsString, String)>,
    environment: Vec<(&'static str, OsString)>,
}

impl Git {
    /// Git as it would be in the folder `place`.
    pub(crate) fn at(place: &Path) -> Self {
        let config = QUIET.iter().map(|(key, value)| ((*key).into(), (*value).to_owned())).collect();
        Self { place: place.to_owned(), config, environment: Vec::new() }
    }

    /// With a variable of git's own.
    #[must_use]
    pub(crate) fn with(mut self, variable: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((variable, value.into()));
        self
    }

    /// With a setting.
    #[must_use]
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        self.config.push((key.into(), value.to_owned()));
        self
    }

    /// With more folders that objects are read from.
    #[must_use]
    pub(crate) fn reading(self, objects: &[&Path]) -> Self {
        let mut joined = OsString::new();
        for path in objects {
            if !joined.is_empty() {
                joined.push(":");
            }
            // Quoted as C has it: a path may hold the separator.
            let mut quoted = vec![b'"'];
            for byte in path.as_os_str().as_bytes() {
                if matches!(byte, b'"' | b'\\') {
                    quoted.push(b'\\');
                }
                quoted.push(*byte);
            }
            quoted.push(b'"');
            joined.push(OsString::from_vec(quoted));
        }
        self.with("GIT_ALTERNATE_OBJECT_DIRECTORIES", joined)
    }

    /// The same with every filter, merge driver and diff program that the configuration names switched off. Looking them
    /// up starts none of them.
    pub(crate) fn disarmed(mut self) -> Result<Self, Failure> {
        let names = self.bytes(["config", "--list", "--name-only", "-z"])?;
        for name in entries(&names) {
            // A driver's name is bytes of any kind, dots among them.
            let dot = |byte: &u8| *byte == b'.';
            let (Some(first), Some(last)) = (name.iter().position(dot), name.iter().rposition(dot)) else { continue };
            let key = |name: &[u8]| OsString::from_vec(name.to_vec());
            match (&name[..first], &name[last + 1..]) {
                (b"filter", b"clean" | b"smudge" | b"process") => {
                    self.config.push((key(name), String::new()));
                    self.config.push((key(&[&name[..=last], b"required"].concat()), "false".to_owned()));
                }
                // A driver that fails leaves a conflict, and a conflict is refused.
                (b"merge", b"driver") | (b"remote", b"uploadpack" | b"receivepack") => {
                    self.config.push((key(name), "false".to_owned()));
                }
                (b"diff", b"command" | b"textconv") => self.config.push((key(name), String::new())),
                _ => {}
            }
        }
        Ok(self)
    }

    /// The settings of this git, for another place.
    pub(crate) fn settings_at(&self, place: &Path) -> Self {
        Self { place: place.to_owned(), config: self.config.clone(), environment: Vec::new() }
    }

    /// A command, not started.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("git");
        command.env_clear().current_dir(&self.place).args(arguments);
        for name in ["PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR"] {
            command.envs(ambient::var(name).map(|value| (name, value)));
        }
        for (name, value) in [
            ("LC_ALL", "C"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_ALLOW_PROTOCOL", ""),
            ("GIT_ASKPASS", "true"),
            ("GIT_EDITOR", "true"),
            ("GIT_PAGER", "cat"),
        ] {
            command.env(name, value);
        }
        command.env("GIT_CONFIG_COUNT", self.config.len().to_string());
        for (at, (key, value)) in self.config.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{at}"), key).env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command with this on its standard input.
    pub(crate) fn ran<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Result<Ran, Failure> {
        let mut command = self.command(arguments);
        let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;
        let stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // What reads no more of its input says why by its end.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
            child.wait_with_output()
        });
        let output = output.map_err(|error| self.not_started(&error))?;
        Ok(Ran {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn not_started(&self, error: &std::io::Error) -> Failure {
        let enters = rustix::fs::access(&self.place, rustix::fs::Access::EXEC_OK).map_err(Into::into);
        not_started(&self.place, enters, error)
    }

    /// What a command answers; a failure where it does not succeed.
    pub(crate) fn bytes<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Vec<u8>, Failure> {
        self.fed(arguments, b"")
    }

    /// The same with something on its standard input.
    pub(crate) fn fed<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let arguments: Vec<OsString> = arguments.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let ran = self.ran(&arguments, input)?;
        if ran.code == Some(0) {
            return Ok(ran.stdout);
        }
        Err(complaint(&arguments, &ran.stderr))
    }

    /// The one line that a command answers.
    pub(crate) fn line<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String, Failure> {
        Ok(one_line(&self.bytes(arguments)?))
    }

    /// The one line that a command answers, where it succeeds.
    pub(crate) fn maybe<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Option<String>, Failure> {
        let ran = self.ran(arguments, b"")?;
        Ok((ran.code == Some(0)).then(|| one_line(&ran.stdout)))
    }
}

fn one_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\n').to_owned()
}

/// Why git did not begin: the system says the same of git itself and of the folder that it was to begin in.
fn not_started(place: &Path, enters: std::io::Result<()>, error: &std::io::Error) -> Failure {
    match enters {
        Err(refused) if refused.kind() == std::io::ErrorKind::PermissionDenied => {
            Failure::file(place, "enter", &refused)
                .hint("it takes the right to enter the folder and to read what is in it")
        }
        _ => {
            Failure::local(format!("cannot start git: {}", said(error))).hint("agentctl doctor says how to install it")
        }
    }
}

/// What git complained about, in one sentence.
pub(crate) fn complaint<S: AsRef<OsStr>>(arguments: &[S], stderr: &str) -> Failure {
    let verb = arguments.first().map_or_else(String::new, |word| word.as_ref().to_string_lossy().into_owned());
    let worth = |line: &&str| ["fatal: ", "error: "].iter().any(|word| line.starts_with(word));
    let line =
        stderr.lines().find(worth).or_else(|| stderr.lines().find(|line| !line.is_empty())).unwrap_or("it failed");
    let line = line.trim_start_matches("fatal: ").trim_start_matches("error: ");
    let failure = Failure::local(format!("git {verb}: {line}"));
    if stderr.contains("dubious ownership") {
        return failure.hint("the repository belongs to somebody else: git config --global --add safe.directory PATH");
    }
    if stderr.contains("missing blob") || stderr.contains("unable to read") || stderr.contains("could not fetch") {
        return failure.hint("a partial clone lacks objects: git fetch --refetch --no-filter");
    }
    failure
}

/// The entries of an answer that ends each with a zero byte.
pub(crate) fn entries(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == 0).filter(|entry| !entry.is_empty())
}

/// A path as git gives it.
pub(crate) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// A path for people.
pub(crate) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_closed_to_the_caller_is_named_and_git_is_not_to_blame() {
        let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let failure = not_started(Path::new("/root"), Err(denied()), &denied());
        assert_eq!(failure.message(), "cannot enter /root: permission denied");
        assert!(not_started(Path::new("/"), Ok(()), &denied()).message().starts_with("cannot start git"));
    }
}
