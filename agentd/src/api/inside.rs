//! Who comes from inside a run. A run has a socket of its own and is heard there alone: at every other door it would be the
//! user that it shares with the daemon, and could decide what persons decide.

use std::time::Duration;

use agentd_schemas::launch::RUN_UIDS;
use agentd_schemas::problem::{Code, Problem};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::engine::Engine;
use crate::sys::lineage::{Standing, standing};
use crate::sys::peer::Peer;
use crate::sys::process::effective_uid;

/// How long who is turned away gets to read why.
pub(super) const TURNED_AWAY_TIME: Duration = Duration::from_secs(1);
/// Connections of those who are turned away that are answered at a time; who comes beyond that is cut off.
pub(super) const MAX_TURNED_AWAY: usize = 16;

/// Lets whoever is outside of every run pass. A run is on record, and gets the reason.
pub(super) async fn outside(engine: &Engine, peer: Peer, door: &'static str) -> Result<(), Problem> {
    // Nobody else's processes are below a shim.
    let uid = peer.uid;
    if uid != effective_uid() && !RUN_UIDS.contains(&uid) {
        return Ok(());
    }
    // A run may have made the way up to its shim long.
    let found = tokio::task::spawn_blocking(move || standing(&peer)).await.map_err(Problem::internal)?;
    match found {
        Standing::Outside => Ok(()),
        Standing::OfARun => {
            engine.is_of_a_run(uid, door);
            Err(Problem::new(Code::Denied, format!("a run is not heard at {door}: it speaks at its own socket alone"))
                .hint("inside a run: agentctl run --help; what only persons decide, ask for: agentctl run ask"))
        }
        Standing::Unknown => {
            engine.is_of_a_run(uid, door);
            let message =
                format!("the process that connected to {door} has ended, so nobody knows whether it is of a run");
            Err(Problem::new(Code::Denied, message).hint("connect from the process that speaks, and stay"))
        }
    }
}

/// Tells somebody at a door with HTTP why it is turned away, without looking at what it says.
pub(super) async fn turn_away(problem: &Problem, mut stream: UnixStream) {
    let text = serde_json::to_string(problem).unwrap_or_default();
    let status = match problem.code {
        Code::Unauthenticated => "401 Unauthorized",
        _ => "403 Forbidden",
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    );
    let told = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Who still writes would get a broken pipe instead of the reason.
        let mut dropped = [0; 4096];
        while stream.read(&mut dropped).await? > 0 {}
        Ok::<(), std::io::Error>(())
    };
    // Whoever does not listen is not waited for.
    let _ = tokio::time::timeout(TURNED_AWAY_TIME, told).await;
}
