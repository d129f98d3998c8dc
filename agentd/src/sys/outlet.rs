//! A descriptor that somebody gave to be written into. Where it is a pipe or a socket, its other end must go on reading:
//! a piece that is not taken in time ends the writing, so that nobody keeps a thread or a snapshot of the ledger.
//!
//! The flags of the descriptor are not touched: its giver has the same open file, perhaps as its terminal.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use rustix::io::{Errno, ReadWriteFlags, pwritev2, write};
use rustix::net::{SendFlags, send};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// How long a reader may take for one piece.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of one piece: below 17 KiB a second nothing is exported.
pub const PIECE: usize = 1 << 20;
/// Bytes that a pipe with room takes without waiting (`PIPE_BUF`).
const AT_ONCE: usize = 4096;

/// Why nothing is written into a descriptor.
#[derive(Debug, thiserror::Error)]
pub enum OutletError {
    /// It was opened for reading, or for nothing.
    #[error("the descriptor is not open for writing")]
    ReadOnly,
    /// A directory, a block device, and the like.
    #[error("the descriptor is no file, pipe, socket or terminal")]
    Unfit,
    /// The kernel would not tell what it is.
    #[error("the descriptor cannot be examined: {0}")]
    Unknown(#[from] Errno),
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nobody has to read it.
    Stored,
    Socket,
    /// Pipes, and terminals and what else is a character device.
    Pipe,
}

/// A descriptor that is written with a deadline for each piece.
#[derive(Debug)]
pub struct Outlet {
    file: File,
    kind: Kind,
    patience: Duration,
    /// A piece was not taken: whoever tries again (a buffer that is dropped does) does not wait again.
    failed: bool,
}

impl Outlet {
    /// Looks at a descriptor and takes it.
    pub fn new(descriptor: OwnedFd, patience: Duration) -> Result<Self, OutletError> {
        let flags = fcntl_getfl(&descriptor)?;
        let access = flags & OFlags::RWMODE;
        if flags.contains(OFlags::PATH) || !(access == OFlags::WRONLY || access == OFlags::RDWR) {
            return Err(OutletError::ReadOnly);
        }
        let kind = match FileType::from_raw_mode(fstat(&descriptor)?.st_mode) {
            FileType::RegularFile => Kind::Stored,
            FileType::Socket => Kind::Socket,
            FileType::Fifo | FileType::CharacterDevice => Kind::Pipe,
            _ => return Err(OutletError::Unfit),
        };
        Ok(Self { file: File::from(descriptor), kind, patience, failed: false })
    }

    /// Makes a file durable; whatever else it is has nothing to make durable.
    pub fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        if self.kind == Kind::Stored { self.file.sync_all() } else { Ok(()) }
    }

    fn piece(&self, piece: &[u8]) -> io::Result<()> {
        let until = now() + self.patience;
        let mut left = piece;
        while !left.is_empty() {
            self.wait(until)?;
            match self.some(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => left = left.get(taken..).unwrap_or_default(),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits until there is room.
    fn wait(&self, until: Duration) -> io::Result<()> {
        loop {
            let left = until.checked_sub(now()).filter(|left| !left.is_zero());
            let left = left.ok_or_else(|| self.too_late())?;
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&timeout)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn too_late(&self) -> io::Error {
        let says = format!("its reader did not take {PIECE} bytes within {} seconds", self.patience.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, says)
    }

    /// Writes what there is room for. Somebody else may have filled the pipe meanwhile: where the kernel can, it is asked
    /// not to wait.
    fn some(&self, bytes: &[u8]) -> Result<usize, Errno> {
        if self.kind == Kind::Socket {
            return send(&self.file, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
        match pwritev2(&self.file, &[IoSlice::new(bytes)], u64::MAX, ReadWriteFlags::NOWAIT) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::SPIPE) => {
                write(&self.file, bytes.get(..AT_ONCE).unwrap_or(bytes))
            }
            taken => taken,
        }
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.kind == Kind::Stored {
            return self.file.write(bytes);
        }
        if self.failed {
            return Err(self.too_late());
        }
        let piece = bytes.get(..PIECE).unwrap_or(bytes);
        let taken = self.piece(piece);
        self.failed = taken.is_err();
        taken.map(|()| piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Time that no person sets.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::sys::scratch::Scratch;

    const SHORT: Duration = Duration::from_millis(50);

    fn outlet(descriptor: impl Into<OwnedFd>) -> Outlet {
        Outlet::new(descriptor.into(), SHORT).unwrap()
    }

    #[test]
    fn who_does_not_read_is_given_up_and_does_not_get_a_second_chance() {
        let (reader, writer) = io::pipe().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        for mut outlet in [outlet(writer), outlet(theirs)] {
            let error = outlet.write_all(&vec![7; 4 * PIECE]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
            assert_eq!(outlet.write(b"more").unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        drop((reader, ours));
    }

    #[test]
    fn who_reads_gets_every_byte_in_order() {
        let sent: Vec<u8> = (0..=250).cycle().take(3 * PIECE + 5).collect();
        let (mut reader, writer) = io::pipe().unwrap();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let all = |reader: &mut dyn Read| {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            read
        };
        for (reader, writer) in [
            (&mut reader as &mut (dyn Read + Send), OwnedFd::from(writer)),
            (&mut ours as &mut (dyn Read + Send), OwnedFd::from(theirs)),
        ] {
            std::thread::scope(|scope| {
                let reading = scope.spawn(move || all(reader));
                let mut outlet = Outlet::new(writer, Duration::from_secs(30)).unwrap();
                outlet.write_all(&sent).unwrap();
                outlet.finish().unwrap();
                drop(outlet);
                assert!(reading.join().unwrap() == sent);
            });
        }
    }

    #[test]
    fn a_reader_that_went_away_is_an_error_and_no_signal() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        assert_eq!(outlet(writer).write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn what_cannot_be_written_is_refused_before() {
        let folder = Scratch::new();
        let path = folder.join("file");
        std::fs::write(&path, "x").unwrap();
        let new = |file: File| Outlet::new(file.into(), SHORT);
        assert!(matches!(new(File::open(&path).unwrap()), Err(OutletError::ReadOnly)));
        assert!(matches!(new(File::open(folder.path()).unwrap()), Err(OutletError::ReadOnly)));
        let mut file = new(File::create(&path).unwrap()).unwrap();
        file.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
    }
}
