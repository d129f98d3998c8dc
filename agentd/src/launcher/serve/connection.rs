//! One connection: a line of JSON with at most one descriptor, and the answer in the same form.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use agentd_schemas::launch::{Answer, MAX_REQUEST_BYTES, Request};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::{Service, answer};
use crate::sys::rights;

/// How long a caller may take to say what it wants, and to take its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads one request, does it and answers.
pub(super) async fn serve(service: &Service, stream: UnixStream) -> io::Result<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let asked = tokio::time::timeout(PATIENCE, read(&stream)).await.map_err(late)??;
    // Who says nothing has looked whether we are there.
    let Some((line, descriptor)) = asked else { return Ok(()) };
    let (answer, file) = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => answer::answer(service, request, descriptor).await,
        Err(error) => (Answer::Refused(format!("not a request: {error}")), None),
    };
    tokio::time::timeout(PATIENCE, write(&stream, &answer, file.as_ref())).await.map_err(late)?
}

async fn read(stream: &UnixStream) -> io::Result<Option<(Vec<u8>, Option<OwnedFd>)>> {
    let (mut line, mut descriptor) = (Vec::new(), None);
    let mut chunk = vec![0; 16 << 10];
    while !line.ends_with(b"\n") {
        let (length, came) = stream.async_io(Interest::READABLE, || rights::receive(stream, &mut chunk)).await?;
        if length == 0 && line.is_empty() {
            return Ok(None);
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.extend_from_slice(chunk.get(..length).unwrap_or_default());
        descriptor = descriptor.or(came.into_iter().next_back());
        if line.len() > MAX_REQUEST_BYTES {
            return Err(io::Error::other(format!("a request of more than {MAX_REQUEST_BYTES} bytes")));
        }
    }
    Ok(Some((line, descriptor)))
}

async fn write(stream: &UnixStream, answer: &Answer, file: Option<&OwnedFd>) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut written = 0;
    while let Some(rest) = line.get(written..).filter(|rest| !rest.is_empty()) {
        let along: Vec<_> = file.filter(|_| written == 0).map(AsFd::as_fd).into_iter().collect();
        written += stream.async_io(Interest::WRITABLE, || rights::send(stream, rest, &along)).await?;
    }
    Ok(())
}
