//! The statement that an agent signs when it completes a work: an in-toto Statement v1 about its artefacts.
//!
//! Format: in-toto Attestation Framework, Statement v1, with the predicate [`PREDICATE_COMPLETION`]:
//!
//! ```json
//! {"_type": "https://in-toto.io/Statement/v1",
//!  "subject": [{"name": "report.md", "digest": {"sha256": "<64 hex>"}}],
//!  "predicateType": "urn:agentd:completion:v1",
//!  "predicate": {"origin": "...", "work": "w-...", "run": "r-...", "fence": 7, "agent": "spiffe://...",
//!                "epoch": 2, "acceptance": "<64 hex>", "finished_at": "2026-01-02T03:04:05Z"}}
//! ```
//!
//! It travels as the payload of a DSSE envelope of type [`PAYLOAD_TYPE`]. Spacing and order of keys are the signer's
//! choice, since exact bytes are signed; unknown and repeated keys are refused. Nothing here looks at a signature.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::object;

/// DSSE payload type of an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// `_type` of an in-toto Statement v1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// `predicateType` of a completion.
pub const PREDICATE_COMPLETION: &str = "urn:agentd:completion:v1";

/// Most bytes of a statement; in base64, the DSSE envelope around it stays below its own bound.
pub const MAX_STATEMENT_BYTES: usize = 47 * 1024;

/// Most artefacts that one statement names.
pub const MAX_ARTEFACTS: usize = 256;

/// Most bytes of a name or id.
pub const MAX_TEXT_BYTES: usize = 512;

/// Largest fence and epoch: what every JSON reader holds exactly.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;

/// Why a statement was not made or not accepted.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Longer than a statement may be.
    #[error("statement is {found} bytes, at most {MAX_STATEMENT_BYTES} are allowed")]
    TooLong {
        /// Bytes of the statement as JSON.
        found: usize,
    },
    /// Not the JSON of a completion statement.
    #[error("statement is not the JSON of an in-toto statement about a completion")]
    Json(#[source] serde_json::Error),
    /// A field with the right JSON type and a wrong content.
    #[error("statement field `{field}` {reason}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The statement speaks of something else than the completion at hand.
    #[error("statement field `{field}` is `{found}`, expected `{expected}`")]
    Differs {
        /// Which field, as a path into the JSON.
        field: String,
        /// What it had to be.
        expected: String,
        /// What it is.
        found: String,
    },
}

/// A SHA-256 digest; text and serde form are 64 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

impl FromStr for Sha256Digest {
    type Err = StatementError;

    fn from_str(text: &str) -> Result<Self, StatementError> {
        let bytes = if text.len() == 64 { HEXLOWER.decode(text.as_bytes()).ok() } else { None };
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(StatementError::Field { field: "sha256", reason: "is not 64 lowercase hex digits" })
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256Digest({self})")
    }
}

impl Serialize for Sha256Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// One result of a work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// Name within the work, usually a relative path.
    pub name: String,
    /// Digest of its bytes.
    pub sha256: Sha256Digest,
}

/// What a completion statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The results, 1 to 256, each name once.
    pub artefacts: Vec<Artefact>,
    /// Origin of the log that holds the work.
    pub origin: String,
    /// Id of the work.
    pub work: String,
    /// Id of the run that did it.
    pub run: String,
    /// Fence of the run's lease within the log's origin.
    pub fence: u64,
    /// Id of the agent that signs.
    pub agent: String,
    /// The agent's model epoch.
    pub epoch: u64,
    /// Digest of the acceptance criteria that the agent worked to.
    pub acceptance: Sha256Digest,
    /// When the agent says that it finished; a claim, compared with nothing.
    pub finished_at: Option<Timestamp>,
}

impl Completion {
    /// The statement as compact JSON, for a DSSE envelope of [`PAYLOAD_TYPE`].
    pub fn to_json(&self) -> Result<Vec<u8>, StatementError> {
        self.validate()?;
        let json = serde_json::to_vec(&Statement::from(self.clone())).map_err(StatementError::Json)?;
        check_length(json.len())?;
        Ok(json)
    }

    /// Reads a statement from JSON.
    pub fn parse(json: &[u8]) -> Result<Self, StatementError> {
        check_length(json.len())?;
        let statement: Statement = object::document(json).map_err(StatementError::Json)?;
        expect("_type", STATEMENT_TYPE, &statement.type_uri)?;
        expect("predicateType", PREDICATE_COMPLETION, &statement.predicate_type)?;
        let completion = Self::from(statement);
        completion.validate()?;
        Ok(completion)
    }

    /// Compares every field but `finished_at`, artefacts in any order; the error names the first that differs.
    pub fn check(&self, expected: &Self) -> Result<(), StatementError> {
        expect("predicate.origin", &expected.origin, &self.origin)?;
        expect("predicate.work", &expected.work, &self.work)?;
        expect("predicate.run", &expected.run, &self.run)?;
        expect("predicate.fence", &expected.fence, &self.fence)?;
        expect("predicate.agent", &expected.agent, &self.agent)?;
        expect("predicate.epoch", &expected.epoch, &self.epoch)?;
        expect("predicate.acceptance", &expected.acceptance, &self.acceptance)?;
        self.check_artefacts(expected)
    }

    fn check_artefacts(&self, expected: &Self) -> Result<(), StatementError> {
        let (found, expected) = (sorted(&self.artefacts), sorted(&expected.artefacts));
        for (found, expected) in found.iter().zip(&expected) {
            expect("subject.name", &expected.name, &found.name)?;
            expect(&format!("subject[{}].digest.sha256", expected.name), &expected.sha256, &found.sha256)?;
        }
        expect("subject.length", &expected.len(), &found.len())
    }

    fn validate(&self) -> Result<(), StatementError> {
        for (field, text) in [
            ("predicate.origin", &self.origin),
            ("predicate.work", &self.work),
            ("predicate.run", &self.run),
            ("predicate.agent", &self.agent),
        ] {
            check_text(field, text)?;
        }
        for (field, number) in [("predicate.fence", self.fence), ("predicate.epoch", self.epoch)] {
            if number > MAX_NUMBER {
                return Err(StatementError::Field { field, reason: "is above 2^53 - 1" });
            }
        }
        if !(1..=MAX_ARTEFACTS).contains(&self.artefacts.len()) {
            return Err(StatementError::Field { field: "subject", reason: "does not name 1 to 256 artefacts" });
        }
        for artefact in &self.artefacts {
            check_text("subject.name", &artefact.name)?;
        }
        if sorted(&self.artefacts).windows(2).any(|pair| pair[0].name == pair[1].name) {
            return Err(StatementError::Field { field: "subject", reason: "names an artefact twice" });
        }
        Ok(())
    }
}

/// The statement as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    #[serde(rename = "_type")]
    type_uri: String,
    #[serde(deserialize_with = "object::list")]
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    #[serde(deserialize_with = "object::field")]
    predicate: Predicate,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: String,
    #[serde(deserialize_with = "object::field")]
    digest: DigestSet,
}

/// in-toto's map of digests, held to the one that agentd computes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestSet {
    sha256: Sha256Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Predicate {
    origin: String,
    work: String,
    run: String,
    fence: u64,
    agent: String,
    epoch: u64,
    acceptance: Sha256Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
}

impl From<Completion> for Statement {
    fn from(completion: Completion) -> Self {
        let subject =
            |artefact: Artefact| Subject { name: artefact.name, digest: DigestSet { sha256: artefact.sha256 } };
        Self {
            type_uri: STATEMENT_TYPE.to_owned(),
            subject: completion.artefacts.into_iter().map(subject).collect(),
            predicate_type: PREDICATE_COMPLETION.to_owned(),
            predicate: Predicate {
                origin: completion.origin,
                work: completion.work,
                run: completion.run,
                fence: completion.fence,
                agent: completion.agent,
                epoch: completion.epoch,
                acceptance: completion.acceptance,
                finished_at: completion.finished_at,
            },
        }
    }
}

impl From<Statement> for Completion {
    fn from(statement: Statement) -> Self {
        let artefact = |subject: Subject| Artefact { name: subject.name, sha256: subject.digest.sha256 };
        let predicate = statement.predicate;
        Self {
            artefacts: statement.subject.into_iter().map(artefact).collect(),
            origin: predicate.origin,
            work: predicate.work,
            run: predicate.run,
            fence: predicate.fence,
            agent: predicate.agent,
            epoch: predicate.epoch,
            acceptance: predicate.acceptance,
            finished_at: predicate.finished_at,
        }
    }
}

fn sorted(artefacts: &[Artefact]) -> Vec<&Artefact> {
    let mut sorted: Vec<_> = artefacts.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    sorted
}

fn expect<T: PartialEq + fmt::Display + ?Sized>(field: &str, expected: &T, found: &T) -> Result<(), StatementError> {
    if expected == found {
        return Ok(());
    }
    Err(StatementError::Differs {
        field: field.to_owned(),
        expected: expected.to_string(),
        // Foreign text: escaped and cut, so that a message stays one short line.
        found: found.to_string().chars().take(MAX_TEXT_BYTES).flat_map(char::escape_debug).collect(),
    })
}

fn check_text(field: &'static str, text: &str) -> Result<(), StatementError> {
    if !(1..=MAX_TEXT_BYTES).contains(&text.len()) {
        return Err(StatementError::Field { field, reason: "is empty or longer than 512 bytes" });
    }
    if text.contains(char::is_control) {
        return Err(StatementError::Field { field, reason: "holds a control character" });
    }
    Ok(())
}

fn check_length(found: usize) -> Result<(), StatementError> {
    if found > MAX_STATEMENT_BYTES { Err(StatementError::TooLong { found }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
