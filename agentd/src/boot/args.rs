//! The command line of the daemon.

use std::path::PathBuf;

use agentd_schemas::log::note::VerifierKey;
use clap::{Args as ClapArgs, Parser, Subcommand};

/// The service that knows AI agents, their work, and proves what they did.
///
/// Without a subcommand it runs in the foreground: stop it with Ctrl-C or SIGTERM.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example: agentd --state /tmp/agentd-try\n         agentctl --address /tmp/agentd-try/run/control.sock status"
)]
pub struct Args {
    /// Serve the whole host as a system service, whoever runs it: mode system, and the places that the service manager
    /// names [STATE_DIRECTORY, RUNTIME_DIRECTORY, CONFIGURATION_DIRECTORY], else those of root
    #[arg(long, global = true, conflicts_with = "session")]
    pub system: bool,
    /// Serve one person as a service of theirs: mode session, whatever the configuration says
    #[arg(long, global = true)]
    pub session: bool,
    /// State directory [default: /var/lib/agentd as root, else ~/.local/state/agentd]
    #[arg(long, global = true, env = "AGENTD_STATE", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Configuration file [default: /etc/agentd/agentd.toml as root, else ~/.config/agentd/agentd.toml, where there is one]
    #[arg(long, global = true, env = "AGENTD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do instead of serving
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the binary does besides serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Verify a ledger: every event, the tree, every kept checkpoint
    Verify(Verify),
    /// Write the projections anew from the log; the daemon must be stopped
    Rebuild,
    /// Make a state directory from a backup, as a new incarnation
    Restore(Restore),
    /// Print the configuration in force: every option with where it comes from, and the places
    Config,
    /// Make or rotate the key that the service's keys are encrypted under; as root
    Credentials(Credentials),
    /// Check policies and run their example requests, without loading them
    Policy(Policy),
}

/// Look at policies without loading them.
#[derive(Debug, ClapArgs)]
pub struct Policy {
    /// What to do with them
    #[command(subcommand)]
    pub action: PolicyAction,
}

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyAction {
    /// Validate them as a reload would
    Check(PolicyFiles),
    /// Run every example request, and print what came of each
    Test(PolicyFiles),
    /// Measure decisions and loading, for the benchmark
    #[command(hide = true)]
    Measure(PolicyFiles),
}

/// Which policies.
#[derive(Debug, ClapArgs)]
pub struct PolicyFiles {
    /// Files or folders [default: the policies.d of the configuration]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// One JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// Make or rotate a key-encryption key.
#[derive(Debug, ClapArgs)]
pub struct Credentials {
    /// Make it or rotate it
    #[command(subcommand)]
    pub action: CredentialsAction,
    /// Where systemd looks for encrypted credentials
    #[arg(long, global = true, value_name = "DIR", default_value = "/etc/credstore.encrypted")]
    pub directory: PathBuf,
}

/// What to do with it.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum CredentialsAction {
    /// Make one where there is none, encrypted for this host by systemd-creds
    Provision,
    /// Make a new one; the present one becomes the previous one until all is encrypted anew
    Rotate,
}

impl CredentialsAction {
    /// Its word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::Rotate => "rotate",
        }
    }
}

/// Verify a ledger.
#[derive(Debug, ClapArgs)]
pub struct Verify {
    /// A backup or an export to verify in place of the ledger in the state directory
    #[arg(value_name = "FILE")]
    pub database: Option<PathBuf>,
    /// Also rebuild the projections and compare, and check content and signatures
    #[arg(long)]
    pub deep: bool,
    /// A checkpoint that was given out earlier; the log must still contain it (repeatable)
    #[arg(long = "checkpoint", value_name = "FILE")]
    pub checkpoints: Vec<PathBuf>,
    /// A log key that an export is held against; the key that it names itself without (repeatable)
    #[arg(long = "key", value_name = "VKEY")]
    pub keys: Vec<VerifierKey>,
    /// Threads
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: u16,
    /// One JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// Restore a backup.
#[derive(Debug, ClapArgs)]
pub struct Restore {
    /// The backup
    #[arg(value_name = "BACKUP")]
    pub backup: PathBuf,
    /// Why it is restored; stands in the first event of the new incarnation
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The highest incarnation that this ledger ever had, when the backup is older than that: it was restored before
    #[arg(long, value_name = "N")]
    pub last_incarnation: Option<u32>,
}
