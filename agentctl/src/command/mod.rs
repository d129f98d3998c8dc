//! The commands: a noun is a folder, a verb is a file with its arguments and what it does.

/// Gives an enum of commands its dispatch. Each future is boxed: together they would make one as large as the largest.
macro_rules! dispatch {
    ($name:ident { $($variant:ident)* }) => {
        impl $name {
            /// Runs the command.
            pub(crate) async fn run(self, context: &$crate::context::Context) -> Result<(), $crate::error::Failure> {
                match self {
                    $(Self::$variant(args) => Box::pin(args.run(context)).await,)*
                }
            }
        }
    };
}

pub(crate) mod remote;
mod work;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Works: list them, look at one, steer it
    #[command(subcommand)]
    Work(work::Command),
}

dispatch!(Command { Work });

/// A reason that must say something.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    let most = agentd_schemas::document::agent::MAX_REASON_BYTES;
    match text.trim() {
        "" => Err("say why: the reason is kept for ever".to_owned()),
        trimmed if trimmed.len() > most => Err(format!("at most {most} bytes")),
        trimmed => Ok(trimmed.to_owned()),
    }
}

/// Reads a label written as `key=value`.
pub(crate) fn label(
    text: &str,
) -> Result<(agentd_schemas::unit::name::LabelKey, agentd_schemas::unit::name::LabelValue), String> {
    let (key, value) = text.split_once('=').ok_or("write it as key=value")?;
    let key = key.parse().map_err(|error| format!("{error}"))?;
    Ok((key, value.parse().map_err(|error| format!("{error}"))?))
}
