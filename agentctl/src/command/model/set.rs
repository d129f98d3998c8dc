//! `agentctl model set`

use agentd_schemas::document::{ModelBinding, OnMismatch};
use agentd_schemas::unit::name::Slug;

use crate::command::{self, word};
use crate::context::{Context, document};
use crate::error::Failure;
use crate::input;
use crate::presence::govern;

/// Bytes of a binding, at most.
const MAX_DOCUMENT_BYTES: usize = 64 << 10;

/// Bind an agent to a model; a new epoch begins
///
/// What the agent showed before counts for the epoch before. It begins again in probation, one work at a time.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  agentctl model set fixer main/vendor-large --version 'vendor-large-*' --reason 'trial over'\n  \
    agentctl model set fixer --none --reason 'a plain script now'"
)]
pub(crate) struct Args {
    /// The agent
    name: Slug,
    /// The model
    #[arg(value_name = "PROVIDER/NAME", value_parser = super::binding, required_unless_present_any = ["none", "file"])]
    model: Option<ModelBinding>,
    /// No model: the program uses none
    #[arg(long, conflicts_with_all = ["model", "file"])]
    none: bool,
    /// Read the binding from this file (TOML or JSON), as [model] of agent.toml has it
    #[arg(long, short, value_name = "FILE", conflicts_with = "model")]
    file: Option<String>,
    /// Effective names that are this model; * stands for any text; may be given several times
    #[arg(long = "version", value_name = "PATTERN", requires = "model")]
    versions: Vec<String>,
    /// A smaller model that the program may use too; may be given several times
    #[arg(long = "helper", value_name = "MODEL", requires = "model")]
    helpers: Vec<String>,
    /// SHA-256 of the parameters
    #[arg(long, value_name = "HEX", requires = "model")]
    parameters_sha256: Option<String>,
    /// SHA-256 of the system prompt
    #[arg(long, value_name = "HEX", requires = "model")]
    prompt_sha256: Option<String>,
    /// What happens when another model answers
    #[arg(long, value_name = "WHAT", requires = "model", value_parser = word::<OnMismatch>(&["record", "pause", "deny"]))]
    on_mismatch: Option<OnMismatch>,
    /// Why; kept with the epoch
    #[arg(long, short, value_name = "TEXT", value_parser = command::reason)]
    reason: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (name, reason) = (self.name.clone(), self.reason.clone());
        let binding = self.binding()?;
        let text = binding.as_ref().map_or_else(|| Ok(String::new()), document)?;
        let epoch: u32 = govern(context.agents().await?.inner(), "SetModel", &(name.as_str(), &text, &reason)).await?;
        let model = binding.map_or_else(|| "no model".to_owned(), |to| format!("{}/{}", to.provider, to.name));
        let view = serde_json::json!({ "agent": name, "epoch": epoch });
        let words = format!("agent {name} is bound to {model}, epoch {epoch}");
        context.out.show(&view, &[name.to_string()], |out| out.line(crate::output::plain(&words)))
    }

    fn binding(self) -> Result<Option<ModelBinding>, Failure> {
        if let Some(file) = &self.file {
            return input::document(file, MAX_DOCUMENT_BYTES).map(Some);
        }
        let on_mismatch = self.on_mismatch.unwrap_or_default();
        Ok(self.model.map(|model| ModelBinding {
            versions: self.versions,
            helpers: self.helpers,
            parameters_sha256: self.parameters_sha256,
            prompt_sha256: self.prompt_sha256,
            on_mismatch,
            ..model
        }))
    }
}
