//! While an agent has it.

use serde::{Deserialize, Serialize};

use super::judged::Verdict;
use crate::id::Fence;
use crate::launch::{Ending, Level, StopCause, Usage};
use crate::unit::name::Slug;

/// An agent has it, under a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkClaimed {
    /// The agent.
    pub agent: Slug,
    /// 1 for the first.
    pub attempt: u32,
    /// The fencing token.
    pub fence: Fence,
    /// How long the lease lives without a heartbeat.
    pub lease_ms: u64,
    /// What the match rests on: `demonstrated`, `claimed` or `no_skill_needed`.
    pub matched_by: String,
}

/// The agent began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunStarted {
    /// What holds its program; absent where it came by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confinement: Option<RunConfinement>,
}

/// What holds the program of a run, as it was asked of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunConfinement {
    /// The level reached: `strict` or `landlock`.
    pub level: Level,
    /// User id of the program.
    pub uid: u32,
    /// Version of Landlock that is enforced.
    pub landlock_abi: u32,
    /// Whether a control group bounds memory, tasks and processor time of the whole.
    pub control_group: bool,
    /// What is not held, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacking: Vec<String>,
    /// SHA-256 (hex) of the launch spec.
    pub spec_sha256: String,
}

/// What a run made or handed in, by its digest. The bytes are beside the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ArtefactRef {
    /// Its name within the work. Those that agentd makes begin with `agentd/`.
    pub name: String,
    /// SHA-256 (hex) of its bytes.
    pub sha256: String,
    /// How many they are.
    pub bytes: u64,
}

/// The program of a run ended. Blob 0 is its standard output and blob 1 its standard error, as far as they were kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunEnded {
    /// How: an exit code, a signal, never begun, lost.
    pub ending: Ending,
    /// Why it was made to end, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StopCause>,
    /// Whether the kernel killed a process of it because its memory was used up, as far as anybody can tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub oom_killed: bool,
    /// What all steps of the run used: preparing, the program, judging.
    pub usage: Usage,
    /// Bytes that it wrote to standard output; more than the blob has where they were not all kept.
    pub stdout_bytes: u64,
    /// Bytes that it wrote to standard error.
    pub stderr_bytes: u64,
}

/// The criteria of a work were tried on what its runs begin with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseJudged {
    /// One per criterion; what was not tried has no answer.
    pub verdicts: Vec<Verdict>,
}

/// What a run waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WaitReason {
    /// An account has too little left.
    Budget {
        /// The account: `work`, `work:w-…` of a work that it is part of, `owner:1000/day`, `host/day`,
        /// `agent:NAME/month`.
        account: String,
        /// Money that was asked for and did not fit; 0 where what was spent reached the limit.
        micro_usd: u64,
        /// Tokens that were asked for and did not fit.
        tokens: u64,
    },
    /// A person must answer.
    Person,
}

/// The run waits; waiting costs no running time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunWaiting {
    /// For what.
    pub reason: WaitReason,
}

/// The program of a run ended while the run waits. It is started again in the same attempt once the run may go on, unless
/// it handed in its result before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramExited {
    /// Which start of it that was: 1 for the first.
    pub start: u32,
    /// How it ended.
    pub ending: Ending,
    /// What the run waits for.
    pub waiting: WaitReason,
    /// Its result was handed in before: it is not started again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub handed_in: bool,
}

/// The run goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunResumed {
    /// `raised`, `answered`, `account_has_room`.
    pub because: String,
}

/// Somebody said something; the text is blob 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteAdded {}

/// The lease was lost through no fault of the agent (the host rebooted or was restored, or nobody started the program); no
/// attempt is used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseVoided {
    /// `new_boot`, `new_incarnation`, `launcher_away` or `runs_unwritable`.
    pub because: String,
}
