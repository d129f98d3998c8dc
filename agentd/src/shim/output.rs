//! What a program writes: kept up to a bound, counted beyond it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use agentd_schemas::launch::Stream;
use sha2::{Digest as _, Sha256};

use super::journal::Journal;
use super::say;

/// Bytes read at once: what a pipe holds.
const CHUNK_BYTES: usize = 64 << 10;
/// Bytes of the end that are kept where not all is.
const TAIL_BYTES: usize = 4 << 10;

/// One output stream of the program and the file that it goes to.
pub(super) struct Capture {
    /// Which stream it is: 0 for standard output, 1 for standard error.
    place: usize,
    pipe: Option<OwnedFd>,
    file: File,
    digest: Sha256,
    room: u64,
    stream: Stream,
    tail: VecDeque<u8>,
    failure: Option<io::Error>,
}

impl Capture {
    /// Keeps what comes out of `pipe`, which does not block, up to `bound` bytes, in `file`.
    pub(super) fn new(place: usize, pipe: OwnedFd, file: File, bound: u64) -> Self {
        Self {
            place,
            pipe: Some(pipe),
            file,
            digest: Sha256::new(),
            room: bound,
            stream: Stream::default(),
            tail: VecDeque::new(),
            failure: None,
        }
    }

    /// The pipe, while somebody may write to it.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads one chunk of what is there.
    pub(super) fn read(&mut self, chunk: &mut Vec<u8>, journal: &mut Journal) {
        let Some(pipe) = &self.pipe else { return };
        chunk.resize(CHUNK_BYTES, 0);
        match rustix::io::read(pipe, chunk.as_mut_slice()) {
            Ok(0) => self.pipe = None,
            Ok(length) => {
                let kept = self.keep(&chunk[..length]);
                journal.take(self.place, &chunk[..kept]);
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(errno) => {
                self.failure.get_or_insert(errno.into());
                self.pipe = None;
            }
        }
    }

    /// Reads what is left in the pipe now: at most what it holds, for whoever was given the other end may write on.
    pub(super) fn drain(&mut self, chunk: &mut Vec<u8>, journal: &mut Journal) {
        let holds = self.pipe().and_then(|pipe| rustix::pipe::fcntl_getpipe_size(pipe).ok());
        let end = self.stream.bytes.saturating_add(holds.unwrap_or(CHUNK_BYTES) as u64);
        while self.pipe.is_some() && self.stream.bytes < end {
            let before = self.stream.bytes;
            self.read(chunk, journal);
            if self.stream.bytes == before {
                return;
            }
        }
    }

    /// How many of the bytes, from the first on, are kept.
    fn keep(&mut self, bytes: &[u8]) -> usize {
        self.stream.bytes += bytes.len() as u64;
        let mut kept = usize::try_from(self.room).map_or(bytes.len(), |room| room.min(bytes.len()));
        // What cannot be written is not kept, and what comes after it neither: the file has no holes.
        match self.file.write_all(&bytes[..kept]) {
            Ok(()) => {
                self.room -= kept as u64;
                self.stream.kept += kept as u64;
                self.digest.update(&bytes[..kept]);
            }
            Err(error) => {
                self.failure.get_or_insert(error);
                (self.room, kept) = (0, 0);
                // A part may have been written, which neither count nor digest knows.
                if let Err(error) = self.file.set_len(self.stream.kept) {
                    say(format_args!("warning: an output file holds more than is told: {error}"));
                }
            }
        }
        let end = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let over = (self.tail.len() + end.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..over.min(self.tail.len()));
        self.tail.extend(end);
        kept
    }

    /// The last bytes so far, as text.
    pub(super) fn tail(&self) -> String {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Makes what was kept durable and says what it is.
    pub(super) fn finish(mut self) -> (Stream, Option<io::Error>) {
        let synced = self.file.sync_all();
        let failure = self.failure.take().or(synced.err());
        let tail = (self.stream.kept < self.stream.bytes).then(|| self.tail());
        let mut stream = self.stream;
        stream.sha256 = data_encoding::HEXLOWER.encode(&self.digest.finalize());
        stream.tail = tail;
        (stream, failure)
    }
}
