//! One connection: a line of JSON with at most one descriptor, and the answer in the same form.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use agentd_schemas::launch::{Answer, MAX_REQUEST_BYTES, Request};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::{Service, answer};

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
        let (length, came) = stream.async_io(Interest::READABLE, || receive(stream, &mut chunk)).await?;
        if length == 0 && line.is_empty() {
            return Ok(None);
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.extend_from_slice(chunk.get(..length).unwrap_or_default());
        descriptor = descriptor.or(came);
        if line.len() > MAX_REQUEST_BYTES {
            return Err(io::Error::other(format!("a request of more than {MAX_REQUEST_BYTES} bytes")));
        }
    }
    Ok(Some((line, descriptor)))
}

fn receive(stream: &UnixStream, chunk: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received =
        rustix::net::recvmsg(stream, &mut [IoSliceMut::new(chunk)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptor = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptor = rights.last();
        }
    }
    Ok((received.bytes, descriptor))
}

async fn write(stream: &UnixStream, answer: &Answer, file: Option<&OwnedFd>) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut written = 0;
    while let Some(rest) = line.get(written..).filter(|rest| !rest.is_empty()) {
        let file = file.filter(|_| written == 0);
        written += stream.async_io(Interest::WRITABLE, || send(stream, rest, file)).await?;
    }
    Ok(())
}

fn send(stream: &UnixStream, bytes: &[u8], file: Option<&OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let files: Vec<_> = file.iter().map(|file| file.as_fd()).collect();
    if !files.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::Error::other("the descriptor does not fit into its message"));
    }
    Ok(rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
}
