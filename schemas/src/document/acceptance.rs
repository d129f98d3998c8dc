//! How a result is judged.

use serde::{Deserialize, Serialize};

use crate::unit::duration::Span;

/// Bytes of a command that judges, at most.
pub const MAX_JUDGE_BYTES: usize = 8 << 10;
/// Milliseconds that a command that judges may take, at most: a day.
pub const MAX_JUDGE_MS: u64 = 86_400_000;
/// Patterns of one criterion, at most.
pub const MAX_PATTERNS: usize = 64;
/// Bytes of one pattern, at most.
pub const MAX_PATTERN_BYTES: usize = 512;

/// One acceptance criterion. Exactly one of the kinds is given: `json_schema`, `person`, `command`, `changes`, `files` or
/// `artefact`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "AcceptanceFields", into = "AcceptanceFields")]
pub enum Acceptance {
    /// The result is JSON that this JSON Schema (draft 2020-12 unless it says otherwise) accepts. Remote references
    /// are refused.
    JsonSchema(serde_json::Value),
    /// A person says yes or no.
    Person(PersonAcceptance),
    /// A command succeeds in a fresh checkout of the result.
    Command(CommandAcceptance),
    /// Rules for what was changed.
    Changes(ChangesAcceptance),
    /// Files that are there, or are not.
    Files(FilesAcceptance),
    /// An artefact was handed in.
    Artefact(ArtefactAcceptance),
}

/// A command that judges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CommandAcceptance {
    /// Run by `sh -c` at the top of a fresh checkout of the result; exit code 0 is a yes.
    pub command: String,
    /// Patterns of paths that are put back as they were before the command runs: tests, build configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected_paths: Vec<String>,
    /// How long it may take; 10min by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

/// Rules for what was changed. Patterns are those of git: `*` stays within a folder, `**` does not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ChangesAcceptance {
    /// Nothing else was changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Added and removed lines together, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lines: Option<u64>,
    /// Changed files, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_files: Option<u64>,
    /// Whether binary files may be changed; `false` by default.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub binary: bool,
    /// Whether there may be no change at all; `false` by default.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub none: bool,
}

/// Files that are in the result, or are not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct FilesAcceptance {
    /// Each of these patterns has a file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub present: Vec<String>,
    /// None of these has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
}

/// An artefact that must have been handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ArtefactAcceptance {
    /// Its name.
    pub name: String,
    /// SHA-256 (hex) of its bytes, where it is known before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Who may accept a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PersonAcceptance {
    /// The owner of the work, or an operator.
    #[default]
    Owner,
    /// An operator of the host.
    Operator,
}

/// The kinds, in words.
const KINDS: &str = "json_schema, person, command, changes, files or artefact";

/// A criterion as it is written: the kind is the key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct AcceptanceFields {
    /// The result is JSON that this JSON Schema (draft 2020-12 unless it says otherwise) accepts. Remote references
    /// are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<serde_json::Value>,
    /// A person says yes or no.
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<PersonAcceptance>,
    /// A command that succeeds in a fresh checkout of the result, run by `sh -c` at its top.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    /// With `command`: patterns of paths that are put back as they were before it runs: tests, build configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    protected_paths: Vec<String>,
    /// With `command`: how long it may take; 10min by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<Span>,
    /// Rules for what was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<ChangesAcceptance>,
    /// Files that are there, or are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<FilesAcceptance>,
    /// An artefact that was handed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    artefact: Option<ArtefactAcceptance>,
}

impl TryFrom<AcceptanceFields> for Acceptance {
    type Error = String;

    fn try_from(fields: AcceptanceFields) -> Result<Self, String> {
        let AcceptanceFields { json_schema, person, command, protected_paths, timeout, changes, files, artefact } =
            fields;
        let of_command = !protected_paths.is_empty() || timeout.is_some();
        let alone = command.is_none();
        let command = command.map(|command| CommandAcceptance { command, protected_paths, timeout });
        // In one order, however it was written: its digest stands in the ledger.
        let in_order = |mut schema: serde_json::Value| {
            schema.sort_all_objects();
            Self::JsonSchema(schema)
        };
        let mut given = [
            json_schema.map(in_order),
            person.map(Self::Person),
            command.map(Self::Command),
            changes.map(Self::Changes),
            files.map(Self::Files),
            artefact.map(Self::Artefact),
        ]
        .into_iter()
        .flatten();
        let Some(criterion) = given.next() else { return Err(format!("a criterion is one of {KINDS}")) };
        if given.next().is_some() {
            return Err(format!("a criterion is only one of {KINDS}: write two criteria"));
        }
        if of_command && alone {
            return Err("protected_paths and timeout belong to a command".to_owned());
        }
        Ok(criterion)
    }
}

impl From<Acceptance> for AcceptanceFields {
    fn from(acceptance: Acceptance) -> Self {
        let mut fields = Self::default();
        match acceptance {
            Acceptance::JsonSchema(schema) => fields.json_schema = Some(schema),
            Acceptance::Person(who) => fields.person = Some(who),
            Acceptance::Command(CommandAcceptance { command, protected_paths, timeout }) => {
                (fields.command, fields.protected_paths, fields.timeout) = (Some(command), protected_paths, timeout);
            }
            Acceptance::Changes(rules) => fields.changes = Some(rules),
            Acceptance::Files(files) => fields.files = Some(files),
            Acceptance::Artefact(artefact) => fields.artefact = Some(artefact),
        }
        fields
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Acceptance {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Acceptance".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = <AcceptanceFields as schemars::JsonSchema>::json_schema(generator);
        let kinds = ["json_schema", "person", "command", "changes", "files", "artefact"];
        let one = kinds.map(|kind| serde_json::json!({ "required": [kind] }));
        schema.insert("oneOf".to_owned(), serde_json::Value::from(one.to_vec()));
        schema.insert(
            "description".to_owned(),
            "One acceptance criterion. Exactly one of the kinds is given: json_schema, person, command, changes, files or \
             artefact."
                .into(),
        );
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Acceptance, String> {
        crate::strict::toml::from_slice(toml.as_bytes(), &crate::strict::Limits::DEFAULT)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_criterion_is_written_as_it_is_thought() {
        let command = read("command = \"make test\"\nprotected_paths = [\"tests/**\"]\n").unwrap();
        let expected = CommandAcceptance {
            command: "make test".to_owned(),
            protected_paths: vec!["tests/**".to_owned()],
            timeout: None,
        };
        assert_eq!(command, Acceptance::Command(expected));
        assert_eq!(read("person = \"owner\"").unwrap(), Acceptance::Person(PersonAcceptance::Owner));
        let changes = read("changes = { only = [\"src/**\"], max_lines = 20 }").unwrap();
        assert!(matches!(changes, Acceptance::Changes(ChangesAcceptance { max_lines: Some(20), .. })));
        let again: Acceptance = serde_json::from_str(&serde_json::to_string(&command).unwrap()).unwrap();
        assert_eq!(again, command);
    }

    #[test]
    fn none_two_and_strangers_are_refused() {
        assert!(read("").unwrap_err().contains("one of"));
        assert!(read("person = \"owner\"\ncommand = \"true\"\n").unwrap_err().contains("two criteria"));
        assert!(read("person = \"owner\"\ntimeout = \"1s\"\n").unwrap_err().contains("belong to a command"));
        assert!(read("comand = \"true\"").unwrap_err().contains("command"));
    }
}
