//! The stream below a private connection, with bounds that D-Bus itself does not have.
//!
//! A message larger than [`MAX_MESSAGE_BYTES`] ends the connection. A call is open from the moment it is read until its
//! answer is written, and every call is answered: D-Bus allows that also where the caller said that it needs none. With [`MAX_OPEN`] open calls, or one large one, nothing more is read, so that a client that sends
//! and never reads fills its own socket and not our memory.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agentd_schemas::dbus::MAX_MESSAGE_BYTES;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use zbus::Message;
use zbus::connection::socket::{self, ReadHalf, Split, WriteHalf};
use zbus::export::async_trait::async_trait;
use zbus::fdo::ConnectionCredentials;
use zbus::message::Type;

use crate::sys::rights;

/// Open calls of one connection, at most.
const MAX_OPEN: usize = 256;
/// Bytes of a message from which on it counts as large.
const LARGE_BYTES: usize = 256 << 10;
/// Where the flags of a message are, and the one by which a caller asks for no answer.
const FLAGS: usize = 2;
const NO_REPLY_EXPECTED: u8 = 1;
/// Bytes at the beginning of a message that say how long it is.
const HEADER: usize = 16;

/// A connected stream, ready for D-Bus.
#[derive(Debug)]
pub(super) struct Socket(UnixStream);

impl Socket {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(stream)
    }
}

impl socket::Socket for Socket {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let (stream, open) = (Arc::new(self.0), Arc::new(Open::default()));
        let bytes = Bytes { stream: stream.clone(), at: usize::MAX, header: [0; HEADER] };
        let reader = Reader { bytes, open: open.clone(), large: false };
        Split::new(reader, Writer { stream, open })
    }
}

/// Calls that were read and not answered.
#[derive(Debug, Default)]
struct Open {
    calls: AtomicUsize,
    answered: Notify,
}

impl Open {
    fn read_one(&self) {
        self.calls.fetch_add(1, Ordering::AcqRel);
    }

    fn answered_one(&self) {
        let _ = self.calls.fetch_update(Ordering::AcqRel, Ordering::Acquire, |calls| calls.checked_sub(1));
        self.answered.notify_one();
    }

    /// Waits until at most `most` calls are open. One reader waits at a time.
    async fn at_most(&self, most: usize) {
        while self.calls.load(Ordering::Acquire) > most {
            self.answered.notified().await;
        }
    }
}

/// Reads whole messages, one when there is room for it.
#[derive(Debug)]
pub(super) struct Reader {
    bytes: Bytes,
    open: Arc<Open>,
    large: bool,
}

#[async_trait]
impl ReadHalf for Reader {
    async fn receive_message(
        &mut self,
        seq: u64,
        received: &mut Vec<u8>,
        descriptors: &mut Vec<OwnedFd>,
    ) -> zbus::Result<Message> {
        self.open.at_most(if self.large { 0 } else { MAX_OPEN - 1 }).await;
        if let Some(flags) = received.get_mut(FLAGS) {
            *flags &= !NO_REPLY_EXPECTED;
        }
        self.bytes.begin(received)?;
        let message = self.bytes.receive_message(seq, received, descriptors).await?;
        if message.message_type() == Type::MethodCall {
            self.open.read_one();
        }
        self.large = message.data().len() >= LARGE_BYTES;
        Ok(message)
    }

    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        self.bytes.recvmsg(buffer).await
    }

    fn can_pass_unix_fd(&self) -> bool {
        true
    }

    async fn peer_credentials(&mut self) -> io::Result<ConnectionCredentials> {
        let peer = self.bytes.stream.peer_cred()?;
        Ok(ConnectionCredentials::default().set_unix_user_id(peer.uid()))
    }
}

/// The bytes and descriptors of the stream.
#[derive(Debug)]
struct Bytes {
    stream: Arc<UnixStream>,
    /// How much of the message was read; beyond every message before the first one.
    at: usize,
    /// Its first bytes.
    header: [u8; HEADER],
}

impl Bytes {
    /// A message begins, of which these bytes were read before.
    fn begin(&mut self, received: &[u8]) -> io::Result<()> {
        self.at = 0;
        self.went_on(received)
    }

    /// More of the message was read. One that is too large ends here, before anybody makes room for it.
    fn went_on(&mut self, read: &[u8]) -> io::Result<()> {
        let missing = HEADER.saturating_sub(self.at).min(read.len());
        if missing > 0 {
            self.header[self.at..self.at + missing].copy_from_slice(&read[..missing]);
        }
        self.at = self.at.saturating_add(read.len());
        if missing > 0 && self.at >= HEADER && announced(&self.header) > MAX_MESSAGE_BYTES as u64 {
            return Err(io::Error::other(format!("a message is larger than {MAX_MESSAGE_BYTES} bytes")));
        }
        Ok(())
    }
}

/// How long a message says that it is: its header, its fields up to a multiple of eight, its body.
fn announced(header: &[u8; HEADER]) -> u64 {
    let number = |at: usize| {
        let four = [header[at], header[at + 1], header[at + 2], header[at + 3]];
        u64::from(if header[0] == b'B' { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    };
    HEADER as u64 + number(12).next_multiple_of(8) + number(4)
}

#[async_trait]
impl ReadHalf for Bytes {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let stream = &*self.stream;
        let (count, descriptors) = stream.async_io(Interest::READABLE, || rights::receive(stream, buffer)).await?;
        if let Some(flags) = FLAGS.checked_sub(self.at).and_then(|place| buffer[..count].get_mut(place)) {
            *flags &= !NO_REPLY_EXPECTED;
        }
        self.went_on(&buffer[..count])?;
        Ok((count, descriptors))
    }
}

/// Writes messages and counts the answers.
#[derive(Debug)]
pub(super) struct Writer {
    stream: Arc<UnixStream>,
    open: Arc<Open>,
}

#[async_trait]
impl WriteHalf for Writer {
    async fn send_message(&mut self, message: &Message) -> zbus::Result<()> {
        let data = message.data();
        let descriptors: Vec<BorrowedFd<'_>> = data.fds().iter().map(AsFd::as_fd).collect();
        let mut written = self.sendmsg(data, &descriptors).await?;
        while written < data.len() {
            written += self.sendmsg(&data[written..], &[]).await?;
        }
        if matches!(message.message_type(), Type::MethodReturn | Type::Error) {
            self.open.answered_one();
        }
        Ok(())
    }

    async fn sendmsg(&mut self, buffer: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.stream.async_io(Interest::WRITABLE, || rights::send(&*self.stream, buffer, descriptors)).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn close(&mut self) -> io::Result<()> {
        rustix::net::shutdown(&*self.stream, rustix::net::Shutdown::Both).map_err(io::Error::from)
    }

    fn can_pass_unix_fd(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{HEADER, announced};

    #[test]
    fn a_message_says_how_long_it_is_in_either_order_of_bytes() {
        for (body, fields, length) in
            [(0, 0, 16), (0, 1, 24), (5, 8, 29), (1 << 30, 9, (1 << 30) + 32), (u32::MAX, u32::MAX, 8_589_934_607)]
        {
            let header = |order: u8, number: fn(u32) -> [u8; 4]| -> [u8; HEADER] {
                [[order, 1, 0, 1], number(body), number(1), number(fields)].concat().try_into().unwrap()
            };
            assert_eq!(announced(&header(b'l', u32::to_le_bytes)), length, "{body} and {fields}");
            assert_eq!(announced(&header(b'B', u32::to_be_bytes)), length, "{body} and {fields}");
        }
    }
}
