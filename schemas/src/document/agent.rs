//! `agent.toml`: who an agent is, what it says it can do, and which model it thinks with.

use serde::{Deserialize, Serialize};

use super::program::{Program, Resources, Sandbox};
use crate::event::Custody;
use crate::unit::money::Usd;
use crate::unit::name::{Skill, Slug};
use crate::unit::owner::Owner;

/// Skills of one agent, at most.
pub const MAX_AGENT_SKILLS: usize = 128;
/// Bytes of a description or of a reason, at most.
pub const MAX_REASON_BYTES: usize = 1024;
/// Patterns and helper models of one binding, at most.
pub const MAX_MODEL_NAMES: usize = 32;
/// Works that one agent may hold at a time, at most.
pub const MAX_CONCURRENCY: u32 = 256;

/// What to do about a document that says something of a program and names none.
pub const NO_COMMAND: &str = "command = [\"./program\", \"{{ task_file }}\"] names what agentd starts; an agent that comes by \
                              itself has neither";

/// One agent as a person writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AgentDocument {
    /// `[a-z0-9._-]`, at most 64 bytes, never reused.
    pub name: Slug,
    /// One line for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it says it can do. These are claims until five judged works show more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<Skill>,
    /// Who answers for it: a user by name or uid; who hands it in by default. Only an operator may name another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Takes works of every owner, not only of its own. Only an operator may set it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// The model it thinks with; absent for programs that use none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelBinding>,
    /// The program that agentd starts for each work, and its arguments, which are templates. A first word that begins with
    /// `./` is a file beside this document: it is handed in with it. Without a command the agent comes by itself.
    #[serde(default, deserialize_with = "command", skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Further files beside this document that the command needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Where its private key is: `host` with a command (agentd holds it), `resident` without; `owner` for a key of the
    /// owner's that certifies one of the host's for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custody: Option<Custody>,
    /// `ssh-ed25519 AAAA…`: the public half of its key, of an agent that comes by itself and whose key is kept elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// How the program is spoken to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub program: Program,
    /// How it is confined.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sandbox: Sandbox,
    /// How much one run may use.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resources: Resources,
    /// Concurrency and spending.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: AgentLimits,
}

impl AgentDocument {
    /// A field that says something of a program, where no command names one.
    pub fn lacks_command(&self) -> Option<&'static str> {
        let told = [
            ("files", !self.files.is_empty()),
            ("program", !is_default(&self.program)),
            ("sandbox", !is_default(&self.sandbox)),
            ("resources", !is_default(&self.resources)),
            ("custody = \"host\"", self.custody == Some(Custody::Host)),
        ];
        told.into_iter().find(|(_, is_told)| *is_told && self.command.is_empty()).map(|(field, _)| field)
    }
}

/// A command that is there names a program: an empty one is a slip, and no agent that comes by itself.
fn command<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let words = Vec::<String>::deserialize(deserializer)?;
    if words.first().is_none_or(|word| word.trim().is_empty()) {
        return Err(serde::de::Error::custom(
            "no program is named; name one as in [\"./fixer.py\", \"{{ task_file }}\"], or leave command out where the agent comes by itself",
        ));
    }
    Ok(words)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Limits of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AgentLimits {
    /// Works at a time; 1 by default and during probation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// Money per day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_per_day: Option<Usd>,
    /// Tokens per day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens_per_day: Option<u64>,
}

/// Which model an agent thinks with. It changes only by a command with a reason, and each change opens a new epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ModelBinding {
    /// Who serves the model, as configured on the host.
    pub provider: Slug,
    /// The model that is asked for.
    pub name: String,
    /// Patterns (`*` stands for any text) of effective names that are this model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
    /// Smaller models that the program may use too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub helpers: Vec<String>,
    /// SHA-256 (64 hex) of the parameters (temperature and such) as the agent's author wrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_sha256: Option<String>,
    /// SHA-256 (64 hex) of the system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_sha256: Option<String>,
    /// What happens when a reported effective model is outside the binding.
    #[serde(default)]
    pub on_mismatch: OnMismatch,
}

/// What happens when a reported effective model is outside the binding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnMismatch {
    /// An incident is recorded and the work goes on.
    Record,
    /// The agent is paused until a person resumes it.
    #[default]
    Pause,
    /// The attempt fails.
    Deny,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<AgentDocument, String> {
        let text = format!("name = \"fixer\"\n{toml}");
        crate::strict::toml::from_slice(text.as_bytes(), &crate::strict::Limits::DEFAULT)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_names_a_program_or_is_left_out() {
        assert!(read("").unwrap().command.is_empty(), "it comes by itself");
        assert_eq!(read("command = [\"true\"]").unwrap().command, ["true"]);
        for empty in ["[]", "[\"\"]", "[\" \", \"x\"]"] {
            let error = read(&format!("command = {empty}")).unwrap_err();
            assert!(error.contains("no program is named") && error.contains("leave command out"), "{empty}: {error}");
        }
    }

    #[test]
    fn what_is_said_of_a_program_asks_for_a_command() {
        for (lines, field) in [
            ("files = [\"a\"]", "files"),
            ("program = { stdin = \"nothing\" }", "program"),
            ("sandbox = { level = \"strict\" }", "sandbox"),
            ("resources = { tasks_max = 9 }", "resources"),
            ("custody = \"host\"", "custody = \"host\""),
        ] {
            assert_eq!(read(lines).unwrap().lacks_command(), Some(field));
            assert_eq!(read(&format!("command = [\"true\"]\n{lines}")).unwrap().lacks_command(), None, "{lines}");
        }
        assert_eq!(read("custody = \"resident\"").unwrap().lacks_command(), None);
    }
}
