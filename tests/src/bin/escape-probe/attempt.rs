//! An attempt, and what may come of it.

use std::io;

use crate::target::Target;

/// What came of an attempt: with `Ok` it escaped, and the text says how.
pub(crate) type Attempt = Result<String, Held>;

/// Why an attempt did not escape.
#[derive(Debug)]
pub(crate) enum Held {
    /// It was tried, and something held it.
    Contained(String),
    /// It could not even be tried, which says nothing of the sandbox.
    Unavailable(String),
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What it tries, for people.
    pub(crate) what: &'static str,
    pub(crate) run: fn(&Target) -> Attempt,
}

/// A row of the table, in one line.
pub(crate) const fn row(name: &'static str, what: &'static str, run: fn(&Target) -> Attempt) -> Row {
    Row { name, what, run }
}

impl From<io::Error> for Held {
    /// A refusal contains, except where the call is missing.
    fn from(error: io::Error) -> Self {
        if error.raw_os_error() == Some(libc::ENOSYS) {
            return Self::Unavailable(format!("{error}: not in this kernel, or a filter says so"));
        }
        Self::Contained(error.to_string())
    }
}

/// It was tried and held.
pub(crate) fn contained<T>(detail: impl Into<String>) -> Result<T, Held> {
    Err(Held::Contained(detail.into()))
}

/// It could not be tried.
pub(crate) fn unavailable<T>(detail: impl Into<String>) -> Result<T, Held> {
    Err(Held::Unavailable(detail.into()))
}

/// A step that only prepares the attempt: where it fails, nothing was tried.
pub(crate) fn prepared<T>(result: io::Result<T>, what: &str) -> Result<T, Held> {
    result.map_err(|error| Held::Unavailable(format!("{what}: {error}")))
}

/// A call whose arguments make no sense: one of these errors comes only after the permission was looked at and granted.
pub(crate) fn granted(result: io::Result<libc::c_long>, after: &[i32]) -> Attempt {
    match result {
        Ok(_) => Ok("the kernel did it".to_owned()),
        Err(error) if error.raw_os_error().is_some_and(|code| after.contains(&code)) => {
            Ok(format!("permission was granted, only the arguments were refused: {error}"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Several ways to the same end: the first that escapes counts, otherwise what the first one met.
pub(crate) fn first(ways: impl IntoIterator<Item = Attempt>) -> Attempt {
    let mut held = None;
    for way in ways {
        match way {
            Ok(detail) => return Ok(detail),
            Err(why) => held = held.or(Some(why)),
        }
    }
    Err(held.unwrap_or_else(|| Held::Unavailable("there was nothing to try it on".to_owned())))
}
