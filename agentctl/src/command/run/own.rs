//! The socket of the run that this process is in.

use std::time::Duration;

use agentd_schemas::http::{Directive, RunStatus};
use hyper::body::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ambient;
use crate::connect::RUN_SOCKET;
use crate::context::Context;
use crate::error::Failure;
use crate::output::plain;
use crate::serve::door::{Door, Trouble};

/// For one answer; an artefact may be large, and the disk slow.
const PATIENCE: Duration = Duration::from_mins(10);
/// How long a daemon that is away is waited for: it may be starting again.
const AWAY: Duration = Duration::from_secs(30);
/// The pause before it is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// The run, as it speaks for itself.
pub(super) struct OwnRun(Door);

impl OwnRun {
    /// The run that this process is in.
    pub(super) fn here() -> Result<Self, Failure> {
        let socket = ambient::var(RUN_SOCKET).ok_or_else(|| {
            Failure::usage(format!("this is not inside a run: {RUN_SOCKET} is not set"))
                .hint("agentd sets it for the programs that it starts; elsewhere see: agentctl work --help")
        })?;
        Ok(Self(Door::new(socket.into())))
    }

    /// Asks for a document.
    pub(super) async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, Failure> {
        until_there(|| self.0.get(path, PATIENCE)).await
    }

    /// Says something. Whatever is said can be said twice: it counts once by itself, or has a key.
    pub(super) async fn post<Q: Serialize, A: DeserializeOwned>(&self, what: &str, document: &Q) -> Result<A, Failure> {
        let path = format!("/v1/run/{what}");
        until_there(|| self.0.post(&path, None, document, PATIENCE)).await
    }

    /// Hands in bytes.
    pub(super) async fn send<A: DeserializeOwned>(&self, path: &str, bytes: &Bytes) -> Result<A, Failure> {
        until_there(|| self.0.send(path, bytes.clone(), PATIENCE)).await
    }
}

/// Asks until somebody answers. A daemon that starts again is back within moments, and knows the run.
async fn until_there<A, F>(ask: impl Fn() -> F) -> Result<A, Failure>
where
    F: Future<Output = Result<Option<A>, Trouble>>,
{
    let until = tokio::time::Instant::now() + AWAY;
    loop {
        match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => return Err(Failure::local("agentd answered nothing")),
            Err(Trouble::Refused(problem)) => return Err(problem.into()),
            Err(Trouble::Away(_) | Trouble::Gone(_)) if tokio::time::Instant::now() < until => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(Trouble::Away(why) | Trouble::Gone(why)) => {
                return Err(Failure::unreachable(format!("the socket of the run does not answer: {why}")));
            }
        }
    }
}

/// A key for what would count twice when it is said twice.
pub(super) fn key(given: Option<String>) -> Result<Option<String>, Failure> {
    match given {
        Some(key) => Ok(Some(key)),
        None => Ok(Some(data_encoding::HEXLOWER.encode(&ambient::random::<16>()?))),
    }
}

/// Shows the answer to what was said.
pub(super) fn answered(context: &Context, status: &RunStatus, words: &str) -> Result<(), Failure> {
    let out = &context.out;
    out.show(status, &[], |out| out.line(words))?;
    if out.is_human() {
        if status.directive != Directive::Continue {
            out.note(directive(status));
        }
        for note in &status.notes {
            out.note(format!("a person said: {note}"));
        }
    }
    Ok(())
}

/// What the run must do, in words.
pub(super) fn directive(status: &RunStatus) -> String {
    let word = match status.directive {
        Directive::Continue => "continue",
        Directive::Freeze => "freeze",
        Directive::Wait => "wait",
    };
    match &status.reason {
        Some(reason) => format!("{word}: {}", plain(reason)),
        None => word.to_owned(),
    }
}
