//! The program of an agent that agentd starts itself: how it is spoken to, how it is confined, and how much it may use.
//!
//! Words and texts marked as templates may name what agentd fills in: `{{ name }}`, with or without blanks. The names
//! are those of [`TEMPLATE_NAMES`]; another one is refused, and `{{{{` stands for two braces.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::launch::Level;
use crate::unit::name::Slug;
use crate::unit::size::Size;

/// Words of a command, at most.
pub const MAX_COMMAND_WORDS: usize = 256;
/// Bytes of a command, of all environment values, and of all templated files, at most each.
pub const MAX_TEMPLATE_BYTES: usize = 16 << 10;
/// Variables, templated files, exit codes, read-only paths and profiles, at most each.
pub const MAX_PROGRAM_ENTRIES: usize = 64;
/// Files that come with an agent (its program, and what that needs), at most.
pub const MAX_AGENT_FILES: usize = 12;
/// Bytes of one of them, at most.
pub const MAX_AGENT_FILE_BYTES: usize = 1 << 20;
/// Memory that a run may be given at least.
pub const MIN_MEMORY: u64 = 16 << 20;

/// What templates may name.
pub const TEMPLATE_NAMES: [&str; 17] = [
    "agent",
    "attempt",
    "base",
    "home",
    "instructions",
    "instructions_file",
    "previous_file",
    "program_dir",
    "result_file",
    "run",
    "session",
    "socket",
    "task",
    "task_file",
    "title",
    "work",
    "workspace",
];

/// How a program is spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Program {
    /// Variables of its environment; values are templates. Nothing is inherited.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Files that are written before it starts: path below its home, template of the content.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// What it reads on standard input.
    #[serde(skip_serializing_if = "is_default")]
    pub stdin: Stdin,
    /// Where its result is.
    #[serde(skip_serializing_if = "is_default")]
    pub result: ResultFrom,
    /// What exit codes mean, by the code as text. Without an entry 0 is `done`, and so is every code where a criterion
    /// looks at what was made; else it is `failed`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exit_codes: BTreeMap<String, ExitMeaning>,
    /// The command that goes on where the program left off, when it ended while it waited for a person or a limit: its
    /// words are templates. Without it the command is started again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resume: Vec<String>,
    /// JSON Pointer to the id of the program's session in one of the JSON lines of its standard output: `{{ session }}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

/// What a program reads on standard input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Stdin {
    /// The task as one JSON document: a `Claim` of the agents' door.
    #[default]
    Task,
    /// The instructions as text.
    Instructions,
    /// Nothing.
    Nothing,
}

/// Where the result of a program is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ResultFrom {
    /// Its standard output.
    #[default]
    Stdout,
    /// A file: a path below the workspace, or `{{ result_file }}`, which is outside of it.
    File(String),
    /// JSON Pointer into the last JSON line of standard output that has a value there.
    Json(String),
    /// What it hands in by the run's socket (`agentctl run finish`), and nothing else.
    Socket,
}

/// What an exit code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExitMeaning {
    /// It did what it could: what it made is judged.
    Done,
    /// The attempt failed, and nothing is judged.
    Failed,
}

/// How a program is confined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Sandbox {
    /// How confined it is at least: `strict` (default) or `landlock`. A host that cannot do it starts no run, and policy
    /// may ask for more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Places of the host that it may read and execute beside the system's programs: absolute, or `~/…` in the home of who
    /// enrols it. Places with secrets are refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read_only_paths: Vec<String>,
    /// Toolchains and caches that the host's configuration describes under `[runs.profiles]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<Slug>,
}

/// How much one run may use. The words are systemd's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Memory, all processes together where the host has control groups, else each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_max: Option<Size>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_max: Option<u32>,
    /// Processor time in percent of one processor; needs control groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<u32>,
    /// What is kept of each of standard output and standard error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_max: Option<Size>,
    /// The workspace as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_max: Option<Size>,
    /// Files in the workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_files_max: Option<u32>,
}

/// What agentd starts for an agent, as it is bound in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// The program and its arguments, templates.
    pub command: Vec<String>,
    /// How it is spoken to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub program: Program,
    /// How it is confined.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sandbox: Sandbox,
    /// How much it may use.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resources: Resources,
    /// The files that come with it; their content is beside the log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<AgentFile>,
}

/// One file that comes with an agent. It is laid read-only into `{{ program_dir }}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AgentFile {
    /// Its path below `{{ program_dir }}`: relative, plain, without `..`.
    pub name: String,
    /// SHA-256 (hex) of its content.
    pub sha256: String,
    /// Whether it is a program.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
