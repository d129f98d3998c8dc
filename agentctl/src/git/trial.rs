//! Real repositories in temporary folders, for tests.

use std::path::{Path, PathBuf};

use super::scratch::Scratch;

/// A repository of a test.
pub(crate) struct Trial {
    /// Where it is.
    pub(crate) top: PathBuf,
    scratch: Scratch,
}

impl Trial {
    /// An empty repository whose branch is `main`.
    pub(crate) fn empty() -> Self {
        let scratch = Scratch::new().unwrap();
        let trial = Self { top: scratch.path().join("repo"), scratch };
        std::fs::create_dir(&trial.top).unwrap();
        trial.git(&["init", "-q", "-b", "main"]);
        trial.git(&["config", "user.name", "Person"]);
        trial.git(&["config", "user.email", "person@example.org"]);
        trial
    }

    /// One with a commit of `a` and `sub/b`.
    pub(crate) fn new() -> Self {
        let trial = Self::empty();
        trial.write("a", "one\ntwo\nthree\n").write("sub/b", "b\n").write(".gitignore", "ignored/\n*.tmp\n");
        trial.commit("first");
        trial
    }

    /// A path beside the repository.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Runs git as a person would.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git_at(&self.top, arguments)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, content: &str) -> &Self {
        let path = self.top.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Reads a file.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.top.join(name)).unwrap()
    }

    /// Commits everything; gives the id.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Everything in the repository that must not change while somebody looks: refs, objects, index, files.
    pub(crate) fn snapshot(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut found, mut open) = (Vec::new(), vec![self.top.clone()]);
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    open.push(path);
                } else {
                    found.push((path.clone(), std::fs::read(&path).unwrap_or_default()));
                }
            }
        }
        found.sort();
        found
    }
}

/// Runs git as a person would, anywhere.
pub(crate) fn git_at(place: &Path, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new("git");
    command.current_dir(place).args(["-c", "protocol.file.allow=always"]).args(arguments);
    for (name, value) in
        [("GIT_AUTHOR_DATE", "1700000000 +0000"), ("GIT_COMMITTER_DATE", "1700000000 +0000"), ("GIT_CONFIG_GLOBAL", "")]
    {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
