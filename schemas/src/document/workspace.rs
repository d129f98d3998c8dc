//! What a run finds in its workspace: nothing, a folder, or a commit of a git repository.

use serde::{Deserialize, Serialize};

use crate::unit::duration::Span;

/// Bytes of a setup command, at most.
pub const MAX_SETUP_BYTES: usize = 8 << 10;

/// What a workspace is made from, as a person writes it. `repository` and `folder` are read by agentctl, with the rights of
/// who submits; the daemon takes `content` alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct WorkspaceDocument {
    /// A git repository on the machine of who submits: a path. It is not touched until `agentctl work apply`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// What of it is checked out; `HEAD` by default.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// A folder that is no repository: a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Runs first in each new workspace, by `sh -c`. Where it fails, the attempt fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup: Option<String>,
    /// The network of `setup`: `none` (default), or `host` where the host's configuration allows it.
    #[serde(skip_serializing_if = "is_none")]
    pub setup_egress: Egress,
    /// How long `setup` may take; 10min by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup_timeout: Option<Span>,
    /// What agentctl handed in for `repository` or `folder`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<WorkspaceContent>,
}

/// Where a step may connect to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Egress {
    /// Nowhere.
    #[default]
    None,
    /// Wherever the host may.
    Host,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_none(egress: &Egress) -> bool {
    *egress == Egress::None
}

/// What was handed in, by its digest. Only who handed it in can name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WorkspaceContent {
    /// What it is.
    pub kind: ContentKind,
    /// SHA-256 (hex) of its bytes.
    pub sha256: String,
    /// How many they are.
    pub bytes: u64,
    /// Of a bundle: the commit (hex) that is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Of a bundle: the branch that was checked out, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

/// What handed-in content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ContentKind {
    /// A git bundle with everything that `base` needs, and `base` itself as `refs/agentd/base`. What is not committed but
    /// handed in is a commit on top of it, which `base` then names.
    Git,
    /// A tar archive (ustar or pax), not compressed.
    Tar,
}

impl ContentKind {
    /// Its name in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Tar => "tar",
        }
    }

    /// Reads its name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Git, Self::Tar].into_iter().find(|kind| kind.as_str() == text)
    }
}
