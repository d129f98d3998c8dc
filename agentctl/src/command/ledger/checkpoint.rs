//! `agentctl ledger checkpoint`

use agentd_schemas::view::HeadView;

use crate::context::{Context, read};
use crate::error::Failure;
use crate::output::plain_lines;

/// Give the newest signed checkpoint, to keep elsewhere
///
/// A checkpoint that is kept on another machine shows later that the log was cut back or written anew. Each one that is
/// given out is kept by agentd for ever.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  agentctl ledger checkpoint > checkpoint.txt\n  agentctl ledger checkpoint --key > log.vkey\n  \
    agentctl ledger verify --checkpoint checkpoint.txt"
)]
pub(crate) struct Args {
    /// Only the key of the log, in the form of signed notes
    #[arg(long)]
    key: bool,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let head: HeadView = read(&context.ledger().await?.head().await?)?;
        context.out.show(&head, &[head.size.to_string()], |out| {
            let text = if self.key { format!("{}\n", head.log_key) } else { head.checkpoint.clone() };
            // A signed note holds no control characters but newlines, so this changes none that is one.
            out.raw(plain_lines(&text).as_bytes())
        })
    }
}
