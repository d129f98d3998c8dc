//! A daemon of one's own, an operator, agents, and ways to break them.
//!
//! Everything is blocking, so that a test reads from top to bottom. Each daemon has a directory of its own, and what a
//! test started ends with it; nothing else is ever signalled.

mod agent;
mod booted;
mod daemon;
mod host;
mod http;
mod operator;
mod package;

use std::time::{Duration, Instant};

pub use agent::{Agent, key_of, statement};
pub use booted::{Booted, Cgroup, Root};
pub use daemon::{Daemon, Settings, binary, lend};
pub use host::{Scratch, Tmpfs, faketime, installed, is_root, skip};
pub use http::{Answer, Request, exchange};
pub use operator::Operator;
pub use package::{can_package, make_deb, packages};

/// How long a state may take to come about on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon, an operator at its door, and the agent `worker` with these skills.
pub fn scene(skills: &[&str]) -> (Daemon, Operator, Agent) {
    let daemon = Daemon::start();
    let operator = daemon.operator();
    let agent = Agent::enrol(&daemon, &operator, "worker", skills);
    (daemon, operator, agent)
}

/// Asks again until there is an answer; the test ends when there is none within [`PATIENCE`].
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
