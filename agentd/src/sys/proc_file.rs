//! Bounded reads of the kernel's own text files below `/proc`.

use std::fs::File;
use std::io::{self, Read};

/// Most bytes taken from one file; everything read through here is far smaller.
const LIMIT_BYTES: u64 = 64 * 1024;

/// Why a kernel file gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ProcFileError {
    /// The file is absent or may not be read, as in a container without `/proc`.
    #[error("cannot read {path}; agentd needs /proc mounted")]
    Unreadable {
        /// The kernel's file.
        path: String,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
    /// The file was read, and holds something else than the kernel documents.
    #[error("{path} does not hold {expected}")]
    Malformed {
        /// The kernel's file.
        path: String,
        /// What should have been there.
        expected: &'static str,
    },
}

/// The text of a kernel file, at most 64 KiB of it.
pub(super) fn read(path: &str) -> Result<String, ProcFileError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(LIMIT_BYTES).read_to_string(&mut text))
        .map_err(|source| ProcFileError::Unreadable { path: path.to_owned(), source })?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_named() {
        let error = read("/proc/sys/kernel/no-such-entry").unwrap_err();
        assert!(error.to_string().contains("/proc/sys/kernel/no-such-entry"), "{error}");
    }

    #[test]
    fn an_endless_file_is_cut_at_the_limit() {
        assert_eq!(read("/dev/zero").unwrap().len() as u64, LIMIT_BYTES);
    }
}
