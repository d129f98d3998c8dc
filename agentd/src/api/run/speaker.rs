//! Who is at the other end, by what the kernel says, and what a stranger is told.

use std::sync::Arc;
use std::time::Duration;

use agentd_schemas::problem::{Code, Problem};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::net::UnixStream;

use super::Door;
use crate::api::http::answer::Refusal;
use crate::api::inside::turn_away;
use crate::engine::Engine;
use crate::engine::doors::RunDoor;
use crate::policy::Caller;
use crate::sys::children::Held;
use crate::sys::lineage::is_below;
use crate::sys::peer::Peer;

/// How long a connection waits until who supervises the run says which process the shim is. The program may be quicker.
const SHIM_TIME: Duration = Duration::from_secs(5);

/// A connection of a run, as it was found when it was made.
#[derive(Clone)]
pub(super) struct Speaker {
    door: Arc<RunDoor>,
    /// The shim that the process is below.
    shim: Arc<Held>,
    uid: u32,
}

impl Speaker {
    /// Holds a new connection against its door. Nothing of it was read.
    pub(super) async fn of(door: &Arc<RunDoor>, peer: &Peer) -> Option<Self> {
        if peer.uid != door.what.uid {
            return None;
        }
        let mut shim = door.what.shim.clone();
        // The shim of an earlier start may be known still, and is nobody's any more.
        let lives = |shim: &Option<Arc<Held>>| shim.as_ref().is_some_and(|shim| shim.lives());
        let known = tokio::time::timeout(SHIM_TIME, shim.wait_for(lives)).await;
        let shim = known.ok()?.ok()?.clone()?;
        is_below(peer, &shim).then(|| Self { door: door.clone(), shim, uid: peer.uid })
    }
}

/// The run that speaks.
pub(super) struct Run {
    pub(super) caller: Caller,
    pub(super) door: Arc<RunDoor>,
}

impl FromRequestParts<Door> for Run {
    type Rejection = Refusal;

    /// The shim is looked at for each request: it keeps below it whatever was there, and when it ended nobody does.
    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Refusal> {
        let speaker: Option<Speaker> = parts.extensions.get().cloned();
        let speaker = speaker.ok_or_else(|| Problem::internal("a connection without a speaker"))?;
        if !speaker.shim.lives() {
            door.engine.not_of_this_run(speaker.uid, speaker.door.run());
            return Err(stranger(&speaker.door).into());
        }
        Ok(Self { caller: door.engine.speaker(&speaker.door)?, door: speaker.door })
    }
}

fn stranger(door: &RunDoor) -> Problem {
    Problem::new(Code::Unauthenticated, format!("this is the socket of run {}, and you are not of it", door.run()))
        .hint("only processes of the run are heard here; agents that come by themselves have the agents' socket")
}

/// Puts a stranger on record, and tells it, without looking at what it says.
pub(super) async fn refuse(engine: &Engine, door: &RunDoor, uid: u32, stream: UnixStream) {
    engine.not_of_this_run(uid, door.run());
    turn_away(&stranger(door), stream).await;
}

/// Does what waits for the disk beside the threads that serve.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(Problem::internal)?
}
