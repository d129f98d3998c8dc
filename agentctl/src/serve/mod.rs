//! A resident agent made of any command: claim work, run the command, sign what it wrote.
//!
//! This room speaks with the agents' door and minds processes. What a run may do is not decided here: the daemon says
//! it with every heartbeat, and a run that it no longer knows is killed. One claim is one process group; the agent's
//! key never leaves this process.
//!
//! Invariant: whatever happens to a claim, its processes are gone before the next one is asked for.

mod child;
pub(crate) mod door;
mod run;
mod session;
mod stop;

use std::ffi::OsString;
use std::time::Duration;

use agentd_schemas::http::{Claim, ClaimRequest};
use agentd_schemas::problem::Code;

use crate::error::Failure;
use crate::output::plain;
use tokio::time::Instant;

pub(crate) use door::Door;
pub(crate) use session::Session;
pub(crate) use stop::Stop;

use door::Trouble;

/// Seconds that one question for work waits.
const POLL_S: u32 = 30;
/// The first pause after trouble; it doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after trouble.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a resident agent does.
pub(crate) struct Plan {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// How long a lease lives without a heartbeat, in seconds.
    pub(crate) lease_s: u32,
    /// Leave after one work.
    pub(crate) once: bool,
    /// Leave when nobody listened at the socket for so long.
    pub(crate) give_up: Option<Duration>,
}

/// Works on one claim after the other until told to stop.
pub(crate) async fn work(session: &Session, plan: &Plan, stop: &Stop) -> Result<(), Failure> {
    let mut pause = Pause::default();
    // One key for one work: a claim whose answer was lost brings the same work again.
    let mut key = new_key()?;
    while !stop.is_asked() {
        let asked = ClaimRequest { wait_s: POLL_S, lease_s: Some(plan.lease_s), key: Some(key.clone()) };
        let patience = Duration::from_secs(u64::from(POLL_S) + 15);
        // A claim that was given out in the very moment of leaving is not lost: its lease ends and it is given again.
        let claim = tokio::select! {
            () = stop.asked() => break,
            claim = session.call::<_, Claim>("/v1/claim", &asked, patience) => claim,
        };
        match claim {
            Ok(Some(claim)) => {
                pause = Pause::default();
                key = new_key()?;
                run::perform(session, plan, stop, claim).await;
                if plan.once {
                    break;
                }
            }
            Ok(None) => pause = Pause::default(),
            Err(trouble) => {
                if let Some(failure) = fatal(&trouble) {
                    return Err(failure);
                }
                if let Some(failure) = pause.gave_up(&trouble, plan.give_up) {
                    return Err(failure);
                }
                pause.take(&trouble, stop).await;
            }
        }
    }
    Ok(())
}

fn new_key() -> Result<String, Failure> {
    Ok(data_encoding::HEXLOWER.encode(&crate::ambient::random::<16>()?))
}

/// Trouble that no patience cures.
fn fatal(trouble: &Trouble) -> Option<Failure> {
    match trouble {
        Trouble::Refused(problem)
            if matches!(
                problem.code,
                Code::Denied
                    | Code::Unauthenticated
                    | Code::BadSignature
                    | Code::KeyRevoked
                    | Code::NotFound
                    | Code::InvalidDocument
                    | Code::OutOfBounds
            ) =>
        {
            Some(Failure::from(problem.clone()))
        }
        _ => None,
    }
}

/// Growing pauses; each kind of trouble is said once.
#[derive(Default)]
struct Pause {
    said: String,
    times: u32,
    /// Since when nobody listens.
    gone: Option<Instant>,
}

impl Pause {
    /// The end of patience with a socket that nobody listens at: another one may have come in its place.
    fn gave_up(&mut self, trouble: &Trouble, patience: Option<Duration>) -> Option<Failure> {
        if !matches!(trouble, Trouble::Gone(_)) {
            self.gone = None;
            return None;
        }
        let since = *self.gone.get_or_insert_with(Instant::now);
        let patience = patience.filter(|patience| since.elapsed() >= *patience)?;
        let failure = Failure::unreachable(format!("{trouble}, for {} s (--give-up)", patience.as_secs()));
        Some(failure.hint("is agentd's socket for agents there? systemctl status agentd-agents.socket"))
    }

    async fn take(&mut self, trouble: &Trouble, stop: &Stop) {
        let words = trouble.to_string();
        if self.said != words {
            log(&format!("no work for now: {words}"));
            self.said = words;
        }
        let pause = PAUSE.saturating_mul(1 << self.times.min(5)).min(LONGEST_PAUSE);
        self.times += 1;
        tokio::select! {
            () = stop.asked() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One line about what this agent does, on stderr.
pub(crate) fn log(words: &str) {
    use std::io::Write;
    let time = crate::ambient::now().local(&crate::ambient::zone());
    // Nobody to tell when stderr is gone; the work goes on.
    let _ = writeln!(std::io::stderr(), "{time}  {}", plain(words));
}

#[cfg(test)]
mod tests;
