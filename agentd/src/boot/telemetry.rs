//! The daemon's own log: stderr or the journal, with fields that `journalctl` filters by.

use std::fmt;
use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::fmt::format;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, reload};

use super::config::{Log, LogTarget};
use crate::sys::env;

/// What the log tells: it may change while the daemon runs.
pub(super) struct Filter {
    handle: reload::Handle<EnvFilter, Registry>,
    /// Whether it goes to the journal.
    pub(super) journal: bool,
}

impl Filter {
    /// Tells more or less from now on.
    pub(super) fn set(&self, level: &str) -> anyhow::Result<()> {
        self.handle.reload(filter(level)?).context("the log cannot be told otherwise")
    }
}

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(level).with_context(|| format!("log.level {level:?} is not a filter"))
}

/// Starts it.
pub(super) fn start(log: &Log) -> anyhow::Result<Filter> {
    let (filter, handle) = reload::Layer::new(filter(&log.level)?);
    let journal = match log.to {
        LogTarget::Journal => true,
        LogTarget::Stderr => false,
        LogTarget::Auto => env::var("JOURNAL_STREAM")?.is_some(),
    };
    let registry = tracing_subscriber::registry();
    if journal {
        // No prefix: the fields are MESSAGE_ID, AGENT_ID, WORK_ID, RUN_ID.
        let layer = tracing_journald::layer()
            .context("the journal cannot be reached")?
            .with_field_prefix(None)
            .with_syslog_identifier("agentd".to_owned())
            .with_priority_mappings(PriorityMappings {
                info: Priority::Informational,
                debug: Priority::Debug,
                ..PriorityMappings::new()
            });
        registry.with(layer.with_filter(filter)).init();
    } else {
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .fmt_fields(format::debug_fn(write_field))
            // It would say so on the very stream that takes no word, and panic.
            .log_internal_errors(false);
        registry.with(layer.with_filter(filter)).init();
    }
    Ok(Filter { handle, journal })
}

/// Writes one field of a line for people, who have no use for the id of a message.
fn write_field(to: &mut format::Writer<'_>, field: &tracing::field::Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(to, "{value:?}"),
        "MESSAGE_ID" => Ok(()),
        name => write!(to, " {name}={value:?}"),
    }
}
