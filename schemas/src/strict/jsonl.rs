//! JSON Lines: one strict JSON value on each line.

use std::io::{BufRead, Read};
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::error::{DocumentError, ErrorKind};
use super::json;
use super::limits::Limits;

/// Bounds of a file of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineLimits {
    /// Bounds of one line; `max_bytes` is the line without its newline.
    pub line: Limits,
    /// Lines in the whole file.
    pub max_lines: usize,
}

impl LineLimits {
    /// Lines of 1 MiB, 1,000,000 of them.
    pub const DEFAULT: Self = Self { line: Limits { max_bytes: 1024 * 1024, ..Limits::DEFAULT }, max_lines: 1_000_000 };
}

impl Default for LineLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The values of a JSON Lines text, one by one; see [`lines`].
pub struct Lines<R, T> {
    reader: R,
    limits: LineLimits,
    buffer: Vec<u8>,
    line: usize,
    is_done: bool,
    value: PhantomData<fn() -> T>,
}

/// Reads one `T` from each line of `reader`, as [`json::from_slice`] does; memory holds one line.
///
/// Errors carry the line's number in the file. The first error ends the iteration. A last line without newline counts;
/// an empty line is refused.
pub fn lines<T: DeserializeOwned, R: BufRead>(reader: R, limits: LineLimits) -> Lines<R, T> {
    Lines { reader, limits, buffer: Vec::new(), line: 0, is_done: false, value: PhantomData }
}

impl<R, T> Lines<R, T> {
    /// The number of the line read last, from 1; 0 before the first.
    pub fn line(&self) -> usize {
        self.line
    }
}

impl<T: DeserializeOwned, R: BufRead> Lines<R, T> {
    /// Fills the buffer with the next line without its newline; `false` at the end.
    fn fill(&mut self) -> Result<bool, DocumentError> {
        let limit = self.limits.line.max_bytes;
        self.buffer.clear();
        let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        (&mut self.reader).take(bound).read_until(b'\n', &mut self.buffer).map_err(|error| {
            DocumentError::new(ErrorKind::Read, format!("the lines cannot be read: {error}")).with_hint("try again")
        })?;
        if self.buffer.is_empty() {
            return Ok(false);
        }
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        } else if self.buffer.len() > limit {
            return Err(DocumentError::too_large("line", limit));
        }
        Ok(true)
    }

    fn read(&mut self) -> Result<Option<T>, DocumentError> {
        if !self.fill()? {
            return Ok(None);
        }
        if self.line > self.limits.max_lines {
            let limit = self.limits.max_lines;
            return Err(DocumentError::too_many("lines", limit, String::new()));
        }
        if self.buffer.trim_ascii().is_empty() {
            return Err(DocumentError::new(ErrorKind::Syntax, "the line is empty").with_hint("remove it"));
        }
        json::from_slice(&self.buffer, &self.limits.line).map(Some)
    }
}

impl<T: DeserializeOwned, R: BufRead> Iterator for Lines<R, T> {
    type Item = Result<T, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        self.line += 1;
        match self.read() {
            Ok(Some(value)) => Some(Ok(value)),
            Ok(None) => {
                self.line -= 1;
                self.is_done = true;
                None
            }
            Err(error) => {
                self.is_done = true;
                Some(Err(error.on_line(self.line)))
            }
        }
    }
}

#[cfg(test)]
mod tests;
