//! What is handed in, on its way into a file: counted and digested as it is written.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::Stdio;

use sha2::{Digest, Sha256};

use crate::error::{Failure, said};
use crate::git::{Git, complaint};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// SHA-256 (hex).
    pub(crate) sha256: String,
    /// Bytes.
    pub(crate) bytes: u64,
}

/// A file that counts and digests what it is given.
pub(crate) struct Sink<'a> {
    file: &'a File,
    digest: Sha256,
    bytes: u64,
    most: u64,
}

impl<'a> Sink<'a> {
    /// Into this file, at most so many bytes.
    pub(crate) fn new(file: &'a File, most: u64) -> Self {
        Self { file, digest: Sha256::new(), bytes: 0, most }
    }

    /// What was written; the file stands at its beginning again.
    pub(crate) fn done(mut self) -> Result<Written, Failure> {
        self.file.rewind().map_err(|error| unwritten(&error))?;
        Ok(Written { sha256: data_encoding::HEXLOWER.encode(&self.digest.finalize()), bytes: self.bytes })
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.bytes += written as u64;
        if self.bytes > self.most {
            return Err(std::io::Error::other(format!("it is larger than {}", crate::output::bytes(self.most))));
        }
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// A failure to write what is handed in.
pub(crate) fn unwritten(error: &std::io::Error) -> Failure {
    Failure::local(format!("cannot put together what is handed in: {}", said(error)))
        .hint("it is kept in TMPDIR for the time being")
}

/// What a command of git writes to its standard output, into a file. With `progress` git speaks for itself.
pub(crate) fn git(
    git: &Git,
    arguments: &[&str],
    input: &[u8],
    into: &File,
    progress: bool,
) -> Result<Written, Failure> {
    let mut command = git.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(if progress { Stdio::inherit() } else { Stdio::piped() });
    let mut child = command.spawn().map_err(|error| unwritten(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A few revisions: they fit the pipe.
        let _ = stdin.write_all(input);
    }
    let mut sink = Sink::new(into, u64::MAX);
    let copied = child.stdout.take().map(|mut stdout| copy(&mut stdout, &mut sink)).transpose();
    let output = child.wait_with_output().map_err(|error| unwritten(&error))?;
    copied.map_err(|error| unwritten(&error))?;
    if !output.status.success() {
        return Err(complaint(arguments, &String::from_utf8_lossy(&output.stderr)));
    }
    sink.done()
}

fn copy(from: &mut impl Read, into: &mut impl Write) -> std::io::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut all = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(all),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        into.write_all(&buffer[..read])?;
        all += read as u64;
    }
}
