//! The lines of an export as JSON.

use std::borrow::Cow;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::log::commitment::Salt;
use crate::log::note::{Checkpoint, VerifierKey};
use crate::log::tree::{Hash, leaf_hash};

/// One line, told apart by its first member, `line`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum ExportLine<'a> {
    /// The first line.
    Header(Box<Header>),
    /// An event.
    #[serde(borrow)]
    Event(EventLine<'a>),
    /// The inclusion proof of the event before it, in a partial export.
    Proof(ProofLine),
    /// A blob of the event before it.
    #[serde(borrow)]
    Blob(BlobLine<'a>),
    /// A checkpoint; the last line is one with a digest.
    #[serde(borrow)]
    Checkpoint(CheckpointLine<'a>),
}

impl ExportLine<'_> {
    /// The name in the member `line`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Header(_) => "header",
            Self::Event(_) => "event",
            Self::Proof(_) => "proof",
            Self::Blob(_) => "blob",
            Self::Checkpoint(_) => "checkpoint",
        }
    }
}

/// Name and version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// The only version there is.
    #[serde(rename = "agentd-export@v1")]
    V1,
}

/// Size and root of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// Number of leaves.
    pub size: u64,
    /// Root over them, in hex.
    pub root: Hash,
}

/// What the export says of itself. The last line confirms `origin` and `tree`, and the origin `incarnation`. `previous`
/// is confirmed by the events of a whole export alone; `exported_at` by nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Name and version of the format.
    pub format: Format,
    /// Identity of the log.
    pub origin: String,
    /// Number of the incarnation, from 1: that of the origin.
    pub incarnation: u64,
    /// The key that signs its checkpoints; a verifier compares it with the one it trusts.
    pub log_key: VerifierKey,
    /// When the export was begun.
    pub exported_at: jiff::Timestamp,
    /// Whether every event is here.
    pub whole: bool,
    /// The tree that the export is of: that of the checkpoint on the last line.
    pub tree: Tree,
    /// Where the previous incarnation of the log ended, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Checkpoint>,
}

/// An event. The leaf hash is there so that damage is named at the event, not only found at the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventLine<'a> {
    /// Position in the log, from 0.
    pub index: u64,
    /// Leaf hash of `body`, in hex.
    pub leaf: Hash,
    /// The exact bytes of the event, which are UTF-8.
    #[serde(borrow)]
    pub body: Cow<'a, str>,
}

impl<'a> EventLine<'a> {
    /// The line of the event with these bytes.
    pub fn new(index: u64, body: &'a str) -> Self {
        Self { index, leaf: leaf_hash(body.as_bytes()), body: Cow::Borrowed(body) }
    }
}

/// An inclusion proof in the tree of the header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofLine {
    /// The event's index.
    pub index: u64,
    /// Hashes from the leaf's sibling upwards, in base64.
    #[serde(with = "base64_hashes")]
    pub hashes: Vec<Hash>,
}

/// A blob, or why it is not here: either `salt`, `media_type` and `data`, or `erased`, or `withheld`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobLine<'a> {
    event: u64,
    slot: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<Salt>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    media_type: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    data: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    erased: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    withheld: bool,
}

/// What a blob line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobState<'a> {
    /// The blob is here.
    Content {
        /// Salt of its commitment.
        salt: Salt,
        /// Its media type.
        media_type: &'a str,
        /// Its data in base64.
        base64: &'a str,
    },
    /// Salt and data were erased from the log. The line alone says so; the log has a `redacted` event for it.
    Erased,
    /// The log has it, this export does not: its reader may not see it or did not ask for it.
    Withheld,
}

impl<'a> BlobLine<'a> {
    /// A blob that is here.
    pub fn content(event: u64, slot: u32, salt: Salt, media_type: &'a str, data: &[u8]) -> Self {
        Self {
            salt: Some(salt),
            media_type: Some(Cow::Borrowed(media_type)),
            data: Some(Cow::Owned(BASE64.encode(data))),
            ..Self::absent(event, slot)
        }
    }

    /// A blob that was erased from the log.
    pub fn erased(event: u64, slot: u32) -> Self {
        Self { erased: true, ..Self::absent(event, slot) }
    }

    /// A blob that this export leaves out.
    pub fn withheld(event: u64, slot: u32) -> Self {
        Self { withheld: true, ..Self::absent(event, slot) }
    }

    fn absent(event: u64, slot: u32) -> Self {
        Self { event, slot, salt: None, media_type: None, data: None, erased: false, withheld: false }
    }

    /// The event's index.
    pub const fn event(&self) -> u64 {
        self.event
    }

    /// The slot within the event.
    pub const fn slot(&self) -> u32 {
        self.slot
    }

    /// What the line says, or nothing where its members contradict each other.
    pub fn state(&self) -> Option<BlobState<'_>> {
        match (self.salt, &self.media_type, &self.data, self.erased, self.withheld) {
            (Some(salt), Some(media_type), Some(base64), false, false) => {
                Some(BlobState::Content { salt, media_type, base64 })
            }
            (None, None, None, true, false) => Some(BlobState::Erased),
            (None, None, None, false, true) => Some(BlobState::Withheld),
            _ => None,
        }
    }
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointLine<'a> {
    /// The signed note.
    #[serde(borrow)]
    pub note: Cow<'a, str>,
    /// On the last line only: SHA-256, in hex, of all lines before it with their newlines, followed by this `note`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Hash>,
}

/// Hashes as an array of base64 strings, the form that proofs elsewhere have.
mod base64_hashes {
    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::log::note::decode_hash;
    use crate::log::proof::MAX_INCLUSION_HASHES;
    use crate::log::tree::Hash;

    pub(super) fn serialize<S: Serializer>(hashes: &[Hash], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(hashes.iter().map(|hash| BASE64.encode(&hash.0)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Hash>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        if texts.len() > MAX_INCLUSION_HASHES {
            return Err(D::Error::custom(format!("at most {MAX_INCLUSION_HASHES} hashes are expected")));
        }
        let hash = |text: &String| decode_hash(text).ok_or(D::Error::custom("a hash is not base64 of 32 bytes"));
        texts.iter().map(hash).collect()
    }
}
