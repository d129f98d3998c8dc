//! Bytes over a Unix socket, and descriptors that go along with them: `SCM_RIGHTS` of unix(7).
//!
//! Invariant: what comes is closed on exec, and what nobody takes is closed.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

/// Descriptors of one message, at most. The kernel closes those beyond.
const MAX_DESCRIPTORS: usize = 8;

/// Sends what the socket takes of these bytes, with all of the descriptors; how many bytes it took. At least one byte has to
/// go along.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fits = descriptors.len() <= MAX_DESCRIPTORS;
    if !fits || !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other(format!("a message has more than {MAX_DESCRIPTORS} descriptors")));
    }
    Ok(rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

/// Receives what is there, up to the length of the buffer: how many bytes, none at the end, and the descriptors with them.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let into = &mut [IoSliceMut::new(buffer)];
    let received = rustix::net::recvmsg(socket, into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok((received.bytes, descriptors))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn descriptors_come_with_the_bytes_that_they_were_sent_with_and_nobody_inherits_them() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        assert_eq!(send(&ours, b"ab", &[writer.as_fd()]).unwrap(), 2);
        assert_eq!(send(&ours, b"c", &[]).unwrap(), 1);
        drop((ours, writer));
        let mut buffer = [0; 16];
        let (length, came) = receive(&theirs, &mut buffer).unwrap();
        assert_eq!((&buffer[..length], came.len()), (b"ab".as_slice(), 1));
        let flags = rustix::io::fcntl_getfd(&came[0]).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        std::fs::File::from(came.into_iter().next().unwrap()).write_all(b"through").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        assert_eq!(receive(&theirs, &mut buffer).map(|(length, came)| (length, came.len())).unwrap(), (1, 0));
        assert_eq!(receive(&theirs, &mut buffer).unwrap().0, 0);
    }

    #[test]
    fn more_than_a_message_holds_is_refused_before_anything_is_sent() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let many = [ours.as_fd(); MAX_DESCRIPTORS + 1];
        assert!(send(&ours, b"x", &many).unwrap_err().to_string().contains("more than 8 descriptors"));
        assert_eq!(send(&ours, b"y", &many[1..]).unwrap(), 1);
        let mut buffer = [0; 4];
        let (length, came) = receive(&theirs, &mut buffer).unwrap();
        assert_eq!((&buffer[..length], came.len()), (b"y".as_slice(), MAX_DESCRIPTORS));
    }
}
