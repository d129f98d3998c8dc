//! What a program writes, in the journal as well: line by line, to the stream that systemd connected as the shim's standard
//! output. The journal is an extra: one that is slow or away costs lines there, and the run nothing.

use std::os::fd::AsFd as _;

use rustix::io::Errno;
use rustix::net::SendFlags;

use super::say;

/// Bytes of one line, at most; a longer one is told in pieces.
const MAX_LINE_BYTES: usize = 8 << 10;
/// Priorities of standard output and standard error, as sd-daemon(3) writes them: info and error.
const PRIORITIES: [&str; 2] = ["<6>", "<3>"];

/// The journal, where the run has one.
#[derive(Default)]
pub(super) struct Journal {
    is_there: bool,
    /// The beginnings of lines of both streams.
    begun: [Vec<u8>; 2],
    /// What the stream did not take of a line that it began to take.
    rest: Vec<u8>,
    lost: u64,
}

impl Journal {
    /// The journal behind standard output.
    pub(super) fn behind_stdout() -> Self {
        Self { is_there: true, ..Self::default() }
    }

    /// Takes what was kept of a stream, by its place: 0 is standard output, 1 standard error.
    pub(super) fn take(&mut self, place: usize, bytes: &[u8]) {
        if !self.is_there {
            return;
        }
        for line in lines(&mut self.begun[place], bytes) {
            self.write(place, &line);
        }
    }

    /// Writes what has no end of a line yet, and says how much is missing.
    pub(super) fn finish(mut self) {
        for place in 0..PRIORITIES.len() {
            let line = std::mem::take(&mut self.begun[place]);
            self.write(place, &line);
        }
        self.go_on();
        if self.lost > 0 {
            say(format_args!("warning: {} lines of output did not reach the journal", self.lost));
        }
    }

    fn write(&mut self, place: usize, line: &[u8]) {
        if line.is_empty() || !self.is_there {
            return;
        }
        self.go_on();
        if !self.rest.is_empty() {
            self.lost += 1;
            return;
        }
        self.rest.extend_from_slice(PRIORITIES[place].as_bytes());
        // The journal would take it for the end of a line, and what is behind it for another priority.
        self.rest.extend(line.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }));
        self.rest.push(b'\n');
        let whole = self.rest.len();
        self.go_on();
        if self.rest.len() == whole {
            self.rest.clear();
            self.lost += 1;
        }
    }

    /// Gives the stream as much as it takes without a wait.
    fn go_on(&mut self) {
        while self.is_there && !self.rest.is_empty() {
            let sent =
                rustix::net::send(std::io::stdout().as_fd(), &self.rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
            match sent {
                Ok(sent) => drop(self.rest.drain(..sent.min(self.rest.len()))),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(errno) => {
                    say(format_args!("warning: output does not go to the journal any more: {errno}"));
                    *self = Self::default();
                }
            }
        }
    }
}

/// The lines that end in `bytes`, the first of which began before; what has no end yet stays.
fn lines(begun: &mut Vec<u8>, bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for part in bytes.split_inclusive(|byte| *byte == b'\n') {
        for piece in part.chunks(MAX_LINE_BYTES) {
            if begun.len() + piece.len() > MAX_LINE_BYTES {
                lines.push(std::mem::take(begun));
            }
            begun.extend_from_slice(piece);
        }
        if begun.last() == Some(&b'\n') {
            begun.pop();
            lines.push(std::mem::take(begun));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_were_written_and_long_ones_in_pieces() {
        let text = b"one\n\ntwo\nthree";
        for size in 1..text.len() {
            let mut begun = Vec::new();
            let all: Vec<Vec<u8>> = text.chunks(size).flat_map(|chunk| lines(&mut begun, chunk)).collect();
            assert_eq!(all, [b"one".to_vec(), b"".to_vec(), b"two".to_vec()], "{size}");
            assert_eq!(begun, b"three");
        }
        let mut begun = Vec::new();
        let long = [vec![b'x'; 3 * MAX_LINE_BYTES], b"y\n".to_vec()].concat();
        let all: Vec<Vec<u8>> = long.chunks(100).flat_map(|chunk| lines(&mut begun, chunk)).collect();
        assert!(all.iter().all(|line| line.len() <= MAX_LINE_BYTES) && begun.is_empty());
        assert_eq!(all.concat().len(), 3 * MAX_LINE_BYTES + 1);
    }
}
