//! Why policies are not taken: the file, the place, the reason and the way out.

use std::fmt;

/// A set of policies that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The file, as the folder has it; the folder itself where it is wrong.
    pub file: String,
    /// Line and column, both from 1, where the place is known. Columns count characters.
    pub place: Option<(u32, u32)>,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Rejected {
    /// In a file, anywhere.
    pub(super) fn of(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { file: file.into(), place: None, reason: one_line(&reason.into()), hint: None }
    }

    /// At this byte of a text.
    #[must_use]
    pub(super) fn at(self, text: &str, offset: usize) -> Self {
        let before = text.get(..offset.min(text.len())).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { place: Some((count(line), count(column))), ..self }
    }

    /// With a way out.
    #[must_use]
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(one_line(&hint.into())), ..self }
    }

    /// Of the example requests so many did not get their answer.
    pub fn counted(failed: usize, all: usize) -> Self {
        Self::of("policies", format!("{failed} of {all} example requests did not get their answer"))
            .hint("mend the policy or the example")
    }

    /// `local.cedar:3:14`.
    pub fn place(&self) -> String {
        match self.place {
            Some((line, column)) => format!("{}:{line}:{column}", self.file),
            None => self.file.clone(),
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.reason)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for Rejected {}

/// Bytes of a reason, at most: a parser may repeat what it did not understand.
const MAX_REASON_BYTES: usize = 400;

/// The words of a parser, on one line, without control characters, and not endless.
fn one_line(words: &str) -> String {
    let mut line = words
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .fold(String::new(), |line, word| if line.is_empty() { word.to_owned() } else { line + " " + word });
    if line.len() > MAX_REASON_BYTES {
        let mut end = MAX_REASON_BYTES;
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push('…');
    }
    line
}
