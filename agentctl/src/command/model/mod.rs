//! Models: which one an agent thinks with, and what came of each.

pub(crate) mod history;
pub(crate) mod set;

use agentd_schemas::document::{ModelBinding, OnMismatch};

/// What to do with models.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Set(set::Args),
    /// Show the models of an agent, oldest first, with what it did in each epoch
    History(history::Args),
}

dispatch!(Command { Set History });

/// Reads `provider/name`; the name may have slashes of its own.
pub(crate) fn binding(text: &str) -> Result<ModelBinding, String> {
    let (provider, name) = text.split_once('/').ok_or("write it as provider/name")?;
    if name.is_empty() {
        return Err("write it as provider/name".to_owned());
    }
    Ok(ModelBinding {
        provider: provider.parse().map_err(|error| format!("{error}"))?,
        name: name.to_owned(),
        versions: Vec::new(),
        helpers: Vec::new(),
        parameters_sha256: None,
        prompt_sha256: None,
        on_mismatch: OnMismatch::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::binding;

    #[test]
    fn a_model_has_a_provider_and_a_name() {
        let read = binding("main/vendor/large").unwrap();
        assert_eq!((read.provider.as_str(), read.name.as_str()), ("main", "vendor/large"));
        for text in ["main", "main/", "/large", "Main/large"] {
            assert!(binding(text).is_err(), "{text}");
        }
    }
}
