//! What is to be started, and the bounds of it.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::LAUNCH_VERSION;
use crate::id::RunId;

/// Arguments of the program, at most.
const MAX_ARGUMENTS: usize = 1024;
/// Bytes of all arguments, and of the whole environment, at most.
const MAX_WORDS_BYTES: usize = 1 << 20;
/// Mounts, at most.
const MAX_MOUNTS: usize = 256;
/// Folders that the launcher makes, at most.
const MAX_FOLDERS: usize = 64;
/// Places that no mount may show, at most.
const MAX_KEPT_OUT: usize = 256;
/// Percent of one processor, at least and at most: below the least a program hardly moves.
const MIN_CPU_PERCENT: u32 = 1;
/// 1,024 processors.
const MAX_CPU_PERCENT: u32 = 102_400;
/// Bytes of a path, at most (`PATH_MAX` without its NUL).
const MAX_PATH_BYTES: usize = 4095;
/// Longest run: 30 days.
const MAX_WALL_MS: u64 = 30 * 24 * 3_600_000;
/// Longest time between TERM and KILL.
const MAX_GRACE_MS: u64 = 300_000;
/// Bytes that are kept of one output stream, at most.
const MAX_OUTPUT_BYTES: u64 = 1 << 30;
/// Places inside that the sandbox makes itself. Nothing is mounted at, below or above them.
const OWN_PLACES: &[&str] = &["/run/agentd", "/proc", "/dev", "/sys"];
/// Lowest uid and gid that a run may have.
const MIN_RUN_ID: u32 = 1;

/// One program, as it is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchSpec {
    /// [`LAUNCH_VERSION`].
    pub version: u32,
    /// The run that it is.
    pub run: RunId,
    /// The program, an absolute path inside the sandbox or a name to be found in its `PATH`, and its arguments.
    pub program: Vec<String>,
    /// The whole environment: nothing is inherited.
    pub environment: BTreeMap<String, String>,
    /// Working directory inside the sandbox, absolute.
    pub directory: PathBuf,
    /// What the program reads from standard input.
    pub input: Input,
    /// How confined it must be at least; a host that cannot do it refuses.
    pub level: Level,
    /// What it sees of the host, beside the system's programs and libraries.
    pub mounts: Vec<Mount>,
    /// User of the run; `None` for that of the launcher, where that is not root.
    pub run_as: Option<RunAs>,
    /// Where it may connect to beside its own sandbox.
    pub network: Network,
    /// Folders of the host that the launcher makes for the run's user, where they are not there. Each lies beside the
    /// record.
    pub folders: Vec<PathBuf>,
    /// Places of the host that no mount may show, nor anything above or below them.
    pub keep_out: Vec<PathBuf>,
    /// How much it may use.
    pub limits: RunLimits,
}

/// Standard input of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// This text.
    Text(String),
    /// What the launcher has as its own standard input.
    Inherited,
}

/// The network of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// None but its own loopback.
    None,
    /// The host's.
    Host,
}

/// User and group of a run. Supplementary groups are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunAs {
    /// User id, not 0.
    pub uid: u32,
    /// Group id, not 0.
    pub gid: u32,
}

/// How a program is confined. The order is that of strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Landlock and seccomp alone: files, network and system calls are held, other processes are visible.
    Landlock,
    /// Namespaces by bubblewrap, with Landlock and seccomp inside.
    Strict,
    /// The same in a unit of systemd of its own, whose sandbox and limits the kernel was seen to enforce.
    Unit,
}

impl Level {
    /// Its name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Landlock => "landlock",
            Self::Strict => "strict",
            Self::Unit => "unit",
        }
    }
}

/// One place of the host that the program sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Path on the host, absolute.
    pub source: PathBuf,
    /// Path inside the sandbox, absolute. Below [`Level::Strict`] it is the same as `source`.
    pub target: PathBuf,
    /// What may be done there.
    pub access: Access,
}

/// What a program may do below a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read and execute.
    Read,
    /// Read, execute, write, create, remove.
    Write,
}

/// How much a program may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunLimits {
    /// Milliseconds of running time, frozen time not counted: the shim's own backstop where the daemon is away.
    pub wall_ms: u64,
    /// Milliseconds between TERM and KILL.
    pub grace_ms: u64,
    /// Bytes that are kept of each output stream. What is beyond is read, counted and dropped.
    pub output_bytes: u64,
    /// Bytes of memory that one process may have for data, and that all together may use where there is a control group.
    pub memory_bytes: u64,
    /// Bytes of the largest file.
    pub file_bytes: u64,
    /// Processes and threads of the run's user.
    pub tasks: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// Percent of one processor that all together may use, where there is a control group.
    pub cpu_percent: Option<u32>,
}

/// Why a spec is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Another version of the contract.
    #[error("launch spec has version {0}: this program knows {LAUNCH_VERSION}")]
    Version(u32),
    /// A field that cannot be.
    #[error("launch spec field {field}: {reason}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

fn refuse<T>(field: &'static str, reason: impl Into<String>) -> Result<T, SpecError> {
    Err(SpecError::Field { field, reason: reason.into() })
}

impl LaunchSpec {
    /// Holds the spec against the fixed bounds of the contract, which no daemon can widen.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.version != LAUNCH_VERSION {
            return Err(SpecError::Version(self.version));
        }
        self.check_program()?;
        check_path("directory", &self.directory)?;
        self.check_mounts()?;
        self.check_places()?;
        if self.run_as.is_some_and(|user| user.uid < MIN_RUN_ID || user.gid < MIN_RUN_ID) {
            return refuse("run_as", "a run is never root's");
        }
        self.limits.check()
    }

    fn check_program(&self) -> Result<(), SpecError> {
        if self.program.first().is_none_or(String::is_empty) {
            return refuse("program", "no program is named");
        }
        if self.program.len() > MAX_ARGUMENTS {
            return refuse("program", format!("more than {MAX_ARGUMENTS} words"));
        }
        check_words("program", self.program.iter())?;
        check_words("environment", self.environment.iter().flat_map(|(name, value)| [name, value]))?;
        let odd = self.environment.keys().find(|name| name.is_empty() || name.contains('='));
        odd.map_or(Ok(()), |name| refuse("environment", format!("{name:?} is not a name")))
    }

    fn check_places(&self) -> Result<(), SpecError> {
        for (field, places, most) in
            [("folders", &self.folders, MAX_FOLDERS), ("keep_out", &self.keep_out, MAX_KEPT_OUT)]
        {
            if places.len() > most {
                return refuse(field, format!("more than {most}"));
            }
            places.iter().try_for_each(|place| check_path(field, place))?;
        }
        Ok(())
    }

    fn check_mounts(&self) -> Result<(), SpecError> {
        if self.mounts.len() > MAX_MOUNTS {
            return refuse("mounts", format!("more than {MAX_MOUNTS}"));
        }
        for mount in &self.mounts {
            check_path("mounts", &mount.source)?;
            check_path("mounts", &mount.target)?;
            if mount.target == Path::new("/") || mount.source == Path::new("/") {
                return refuse("mounts", "the root of the host is not given away");
            }
            if let Some(own) = OWN_PLACES.iter().find(|own| overlap(&mount.target, Path::new(own))) {
                return refuse(
                    "mounts",
                    format!("{} would cover what the sandbox has at {own}", mount.target.display()),
                );
            }
            if self.level < Level::Strict && mount.source != mount.target {
                let (source, target) = (mount.source.display(), mount.target.display());
                return refuse("mounts", format!("{source} cannot be {target} without a mount namespace"));
            }
        }
        Ok(())
    }
}

/// Whether one path is the other, or above it. Both are absolute and plain.
pub fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

impl RunLimits {
    fn check(&self) -> Result<(), SpecError> {
        let bounds = [
            ("wall_ms", self.wall_ms, 1, MAX_WALL_MS),
            ("grace_ms", self.grace_ms, 0, MAX_GRACE_MS),
            ("output_bytes", self.output_bytes, 1, MAX_OUTPUT_BYTES),
            ("memory_bytes", self.memory_bytes, 1 << 20, u64::MAX >> 1),
            ("file_bytes", self.file_bytes, 1, u64::MAX >> 1),
            ("tasks", self.tasks, 1, 1 << 20),
            ("open_files", self.open_files, 16, 1 << 20),
        ];
        let cpu = self.cpu_percent.unwrap_or(MAX_CPU_PERCENT);
        if !(MIN_CPU_PERCENT..=MAX_CPU_PERCENT).contains(&cpu) {
            return refuse("cpu_percent", format!("{cpu} is outside {MIN_CPU_PERCENT} to {MAX_CPU_PERCENT}"));
        }
        match bounds.into_iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            Some((field, value, least, most)) => refuse(field, format!("{value} is outside {least} to {most}")),
            None => Ok(()),
        }
    }
}

fn check_words<'a>(field: &'static str, words: impl Iterator<Item = &'a String>) -> Result<(), SpecError> {
    let mut bytes = 0;
    for word in words {
        if word.contains('\0') {
            return refuse(field, "a NUL byte");
        }
        bytes += word.len() + 1;
    }
    if bytes > MAX_WORDS_BYTES {
        return refuse(field, format!("more than {MAX_WORDS_BYTES} bytes"));
    }
    Ok(())
}

fn check_path(field: &'static str, path: &Path) -> Result<(), SpecError> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.len() > MAX_PATH_BYTES || bytes.contains(&0) {
        return refuse(field, "not a path");
    }
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain {
        return refuse(field, format!("{} must be absolute, without `..`", path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> LaunchSpec {
        LaunchSpec {
            version: LAUNCH_VERSION,
            run: "w-aaaaaaaaaaaaaaaa.1".parse().unwrap(),
            program: vec!["true".to_owned()],
            environment: BTreeMap::new(),
            directory: "/workspace".into(),
            input: Input::Text(String::new()),
            level: Level::Strict,
            mounts: vec![Mount { source: "/srv/a".into(), target: "/workspace".into(), access: Access::Write }],
            run_as: None,
            network: Network::None,
            folders: Vec::new(),
            keep_out: Vec::new(),
            limits: RunLimits {
                wall_ms: 1000,
                grace_ms: 100,
                output_bytes: 1000,
                memory_bytes: 1 << 30,
                file_bytes: 1 << 30,
                tasks: 64,
                open_files: 256,
                cpu_percent: None,
            },
        }
    }

    type Change = fn(&mut LaunchSpec);

    #[test]
    fn each_field_has_bounds_that_no_daemon_widens() {
        spec().check().unwrap();
        let table: [(&str, Change); 25] = [
            ("version", |spec| spec.version = 2),
            ("program", |spec| spec.program.clear()),
            ("program", |spec| spec.program = vec![String::new()]),
            ("program", |spec| spec.program = vec!["a\0b".to_owned()]),
            ("program", |spec| spec.program = vec!["a".to_owned(); MAX_ARGUMENTS + 1]),
            ("environment", |spec| drop(spec.environment.insert("A=B".to_owned(), String::new()))),
            ("environment", |spec| drop(spec.environment.insert("A".to_owned(), "x".repeat(MAX_WORDS_BYTES)))),
            ("directory", |spec| spec.directory = "workspace".into()),
            ("mounts", |spec| spec.mounts[0].source = "/srv/../etc".into()),
            ("mounts", |spec| spec.mounts[0].target = "/".into()),
            ("mounts", |spec| {
                spec.mounts[0] = Mount { source: "/".into(), target: "/host".into(), access: Access::Read };
            }),
            ("mounts", |spec| spec.mounts[0].target = "/run/agentd/shim".into()),
            ("mounts", |spec| spec.mounts[0].target = "/run".into()),
            ("mounts", |spec| spec.mounts[0].target = "/proc/sys".into()),
            ("mounts", |spec| spec.mounts[0].target = "/dev".into()),
            ("mounts", |spec| spec.level = Level::Landlock),
            ("run_as", |spec| spec.run_as = Some(RunAs { uid: 0, gid: 5 })),
            ("wall_ms", |spec| spec.limits.wall_ms = 0),
            ("tasks", |spec| spec.limits.tasks = u64::MAX),
            ("cpu_percent", |spec| spec.limits.cpu_percent = Some(0)),
            ("cpu_percent", |spec| spec.limits.cpu_percent = Some(MAX_CPU_PERCENT + 1)),
            ("folders", |spec| spec.folders = vec!["/srv/a/../b".into()]),
            ("folders", |spec| spec.folders = vec!["/srv/a".into(); MAX_FOLDERS + 1]),
            ("keep_out", |spec| spec.keep_out = vec!["keys".into()]),
            ("keep_out", |spec| spec.keep_out = vec!["/srv/a".into(); MAX_KEPT_OUT + 1]),
        ];
        for (field, change) in table {
            let mut changed = spec();
            change(&mut changed);
            let error = changed.check().unwrap_err().to_string();
            assert!(error.contains(field), "{field}: {error}");
        }
    }

    #[test]
    fn a_spec_survives_the_way_and_a_field_nobody_knows_does_not() {
        let text = serde_json::to_string(&spec()).unwrap();
        assert_eq!(serde_json::from_str::<LaunchSpec>(&text).unwrap(), spec());
        let more = text.replacen('{', "{\"privileged\":true,", 1);
        assert!(serde_json::from_str::<LaunchSpec>(&more).unwrap_err().to_string().contains("privileged"));
    }
}
