//! `agentctl agent serve`

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentd_schemas::unit::duration::Span;
use agentd_schemas::unit::name::Slug;

use crate::context::Context;
use crate::error::Failure;
use crate::serve::{self, Door, Plan, Session, Stop};
use crate::{agent_key, ambient};

/// File name of the agents' socket in a runtime or state directory.
const SOCKET: &str = "agents.sock";
/// Works at a time, at most.
const MAX_AT_A_TIME: u32 = 64;

/// Make any command a resident agent: claim work, run it, sign its result
///
/// The command gets the claim as JSON on stdin and AGENTD_WORK, AGENTD_RUN and AGENTD_ATTEMPT in an otherwise nearly
/// empty environment. What it writes to stdout is the result, signed with the agent's key; lines on stderr are
/// progress. Another exit status than 0 fails the attempt with the end of stderr. It is stopped where it stands while
/// agentd says freeze or wait, and killed when the run is not its own any more.
///
/// The first SIGTERM or Ctrl-C lets the work under way end, the second gives it up.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl agent serve summariser -- ./summarise.py\n  \
    agentctl agent serve fixer --once --lease 5min -- sh -c 'jq -r .instructions | ./fix.sh'")]
pub(crate) struct Args {
    /// The agent
    name: Slug,
    /// Its private key; the one that enroll made by default
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The agents' socket of agentd
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Leave after one work
    #[arg(long, conflicts_with = "max")]
    once: bool,
    /// Works at a time
    #[arg(long, value_name = "N", default_value_t = 1, allow_hyphen_values = true, value_parser = crate::command::whole(1..=MAX_AT_A_TIME))]
    max: u32,
    /// How long a lease lives without a heartbeat, 5s to 1h; heartbeats come three times as often
    #[arg(long, value_name = "TIME", default_value = "60s", allow_hyphen_values = true, value_parser = crate::command::span)]
    lease: Span,
    /// Leave with exit code 4 when nobody listened at the socket for so long; without it, it waits. For a service manager, which
    /// starts it anew
    #[arg(long, value_name = "TIME", value_parser = crate::command::span)]
    give_up: Option<Span>,
    /// The command and its arguments; no shell reads them
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        if self.max == 0 || self.max > MAX_AT_A_TIME {
            return Err(Failure::usage(format!("--max is from 1 to {MAX_AT_A_TIME}")));
        }
        let lease_s = u32::try_from(self.lease.as_ms() / 1000).ok().filter(|lease| (5..=3600).contains(lease));
        let lease_s = lease_s.ok_or_else(|| Failure::usage("--lease is from 5s to 1h"))?;
        let path = match self.key {
            Some(path) => path,
            None => agent_key::path(&self.name, None)?,
        };
        let key = agent_key::load(&path).map_err(|failure| {
            if path.exists() {
                failure
            } else {
                failure.hint("agentctl agent enroll makes a key, and one with a command is not served")
            }
        })?;
        let socket = match self.socket {
            Some(socket) => socket,
            None => socket(context).await?,
        };
        let stop = Stop::on_signals()?;
        serve::log(&format!("agent {} at {}, {} at a time", self.name, socket.display(), self.max));
        let session = Session::new(Door::new(socket), self.name, key).with_file(path);
        let give_up = self.give_up.map(|span| Duration::from_millis(span.as_ms()));
        let plan = Plan { command: self.command, lease_s, once: self.once, give_up };
        let hands = (0..self.max).map(|_| serve::work(&session, &plan, &stop));
        let ended: Result<Vec<()>, Failure> = futures_util::future::join_all(hands).await.into_iter().collect();
        serve::log("left");
        ended.map(drop)
    }
}

/// Where the agents' door is: what the daemon says when an address was given, else where it usually is.
async fn socket(context: &Context) -> Result<PathBuf, Failure> {
    if !context.has_address() {
        let state = ambient::var("AGENTD_STATE").map(|state| Path::new(&state).join("run").join(SOCKET));
        let runtime = ambient::runtime_dir().map(|runtime| runtime.join("agentd").join(SOCKET));
        let own = ambient::state_dir().ok().map(|state| state.join("run").join(SOCKET));
        let places = [state, runtime, own, Some(Path::new("/run/agentd").join(SOCKET))];
        if let Some(place) = places.into_iter().flatten().find(|place| place.exists()) {
            return Ok(place);
        }
    }
    let host = context.host().await.map_err(|failure| failure.hint("name the agents' socket: --socket PATH"))?;
    Ok(host.agents_socket().await?.into())
}
