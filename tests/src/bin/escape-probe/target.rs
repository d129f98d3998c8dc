//! What lies outside, as the arguments tell it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};

use crate::attempt::{Held, contained, unavailable};
use crate::descriptors::Inherited;
use crate::sys;

const USAGE: &str = "usage: escape-probe [--list] [--only NAME]... [--secret FILE --canary TEXT] [--outside DIR] \
    [--workspace DIR] [--home DIR] [--tcp PORT] [--udp PORT] [--abstract NAME] [--unix PATH] [--victim PID] \
    [--shm-token TEXT] [--memory BYTES] [--tasks N] [--file-bytes BYTES] [--host-dev N,…] [--host-ns LINK,…]";

/// What the attempts try to reach. What was not told makes its attempts unavailable.
#[derive(Debug, Default)]
pub(crate) struct Target {
    pub(crate) secret: Option<PathBuf>,
    pub(crate) canary: Option<String>,
    pub(crate) outside: Option<PathBuf>,
    pub(crate) workspace: Option<PathBuf>,
    pub(crate) home: Option<PathBuf>,
    pub(crate) tcp: Option<u16>,
    pub(crate) udp: Option<u16>,
    pub(crate) abstract_name: Option<String>,
    pub(crate) unix: Option<PathBuf>,
    pub(crate) shm_token: Option<String>,
    pub(crate) memory: Option<usize>,
    pub(crate) tasks: Option<usize>,
    pub(crate) file_bytes: Option<u64>,
    pub(crate) list: bool,
    pub(crate) only: Vec<String>,
    /// Descriptors that the probe was started with.
    pub(crate) inherited: Vec<Inherited>,
    victim: Option<i32>,
    /// Devices of the host's file systems, as `stat -c %d` prints them.
    host_devs: Vec<u64>,
    /// Namespaces of the host, as `readlink /proc/self/ns/…` prints them.
    host_ns: Vec<String>,
}

impl Target {
    /// Reads the command line.
    pub(crate) fn parse(words: impl Iterator<Item = String>, inherited: Vec<Inherited>) -> anyhow::Result<Self> {
        let mut target = Self { inherited, ..Self::default() };
        let mut words = words;
        while let Some(flag) = words.next() {
            if flag == "--list" {
                target.list = true;
                continue;
            }
            let mut value = || words.next().with_context(|| format!("{flag} needs a value; {USAGE}"));
            match flag.as_str() {
                "--secret" => target.secret = Some(value()?.into()),
                "--canary" => target.canary = Some(value()?),
                "--outside" => target.outside = Some(value()?.into()),
                "--workspace" => target.workspace = Some(value()?.into()),
                "--home" => target.home = Some(value()?.into()),
                "--tcp" => target.tcp = Some(number(&flag, &value()?)?),
                "--udp" => target.udp = Some(number(&flag, &value()?)?),
                "--abstract" => target.abstract_name = Some(value()?),
                "--unix" => target.unix = Some(value()?.into()),
                "--victim" => target.victim = Some(number(&flag, &value()?)?),
                "--shm-token" => target.shm_token = Some(value()?),
                "--memory" => target.memory = Some(number(&flag, &value()?)?),
                "--tasks" => target.tasks = Some(number(&flag, &value()?)?),
                "--file-bytes" => target.file_bytes = Some(number(&flag, &value()?)?),
                "--only" => target.only.extend(value()?.split(',').map(str::to_owned)),
                "--host-ns" => target.host_ns.extend(value()?.split(',').map(str::to_owned)),
                "--host-dev" => {
                    for device in value()?.split(',') {
                        target.host_devs.push(number(&flag, device)?);
                    }
                }
                _ => bail!("{flag:?} is not known; {USAGE}"),
            }
        }
        target.check()?;
        Ok(target)
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.victim.is_some_and(|pid| pid <= 1) {
            bail!("--victim must be a process that the probe may ask about, not 1 and not a group; {USAGE}");
        }
        if self.secret.is_some() != self.canary.is_some() || self.canary.as_ref().is_some_and(String::is_empty) {
            bail!("--secret and --canary belong together, and the canary is not empty; {USAGE}");
        }
        if self.shm_token.as_ref().is_some_and(|token| token.is_empty() || token.contains('/')) {
            bail!("--shm-token becomes a part of a file name; {USAGE}");
        }
        let paths = [&self.secret, &self.outside, &self.workspace, &self.home, &self.unix];
        if let Some(path) = paths.into_iter().flatten().find(|path| !path.is_absolute()) {
            bail!("{} is not absolute; {USAGE}", path.display());
        }
        Ok(())
    }

    /// Whether an attempt was asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|each| each == name)
    }

    /// The secret and what it holds.
    pub(crate) fn secret(&self) -> Result<(&Path, &str), Held> {
        match (&self.secret, &self.canary) {
            (Some(secret), Some(canary)) => Ok((secret, canary)),
            _ => unavailable("--secret was not given"),
        }
    }

    /// The process outside. A number that is ours, in a process namespace of our own, is not the victim.
    pub(crate) fn victim(&self) -> Result<i32, Held> {
        let victim = *need(self.victim.as_ref(), "--victim")?;
        // SAFETY: these only ask about processes. Each attempt leads a group of its own, in which its children are.
        let ours = unsafe { libc::getppid() == victim || libc::getpgid(victim) == libc::getpid() };
        if ours { contained("the number belongs to the probe itself here") } else { Ok(victim) }
    }

    /// A name in the workspace that nothing else has.
    pub(crate) fn place(&self, what: &str) -> Result<PathBuf, Held> {
        let workspace = need(self.workspace.as_ref(), "--workspace")?;
        Ok(workspace.join(format!("agentd-probe-{what}-{}", sys::pid())))
    }

    /// Whether a path that is there lies on a file system of the host. Without a list, everything does.
    pub(crate) fn is_of_the_host(&self, path: &Path) -> bool {
        self.host_devs.is_empty()
            || fs::metadata(path).map_or(true, |metadata| self.host_devs.contains(&metadata.dev()))
    }

    /// Whether a process, by its name in `/proc`, is in a namespace of the host. Where that cannot be told, it is.
    pub(crate) fn shares(&self, process: &str, namespace: &str) -> bool {
        let told = self.host_ns.iter().any(|link| link.split(':').next() == Some(namespace));
        !told
            || fs::read_link(format!("/proc/{process}/ns/{namespace}"))
                .map_or(true, |link| self.host_ns.iter().any(|known| link == Path::new(known)))
    }
}

/// An argument that an attempt cannot do without.
pub(crate) fn need<T>(value: Option<T>, flag: &str) -> Result<T, Held> {
    value.map_or_else(|| unavailable(format!("{flag} was not given")), Ok)
}

fn number<T: FromStr>(flag: &str, word: &str) -> anyhow::Result<T> {
    word.parse().ok().with_context(|| format!("{flag}: {word:?} is not a number that fits; {USAGE}"))
}
