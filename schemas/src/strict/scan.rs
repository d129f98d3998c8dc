//! One pass over JSON text that finds what a typed reader lets through.
//!
//! The pass follows tokens, not grammar: it is exact on every valid document and gives up quietly on the first bracket
//! that cannot match, because the reader after it reads left to right and refuses that bracket. So it judges only what
//! that reader would not: duplicate and reserved keys, depth, counts, lone surrogates, numbers that change on the way.

use std::borrow::Cow;

use super::error::{DocumentError, ErrorKind, Place, Step, path_text};
use super::limits::Limits;
use super::number;

/// Keys with this beginning make `serde_json` or `toml` read the value as text of its own, past every check here.
const RESERVED: [&str; 2] = ["$serde_json::private::", "$__toml_private_"];

pub(super) fn is_reserved(key: &str) -> bool {
    key.starts_with('$') && RESERVED.iter().any(|prefix| key.starts_with(prefix))
}

/// Refuses what [`crate::strict::json`] promises to refuse and a lenient reader accepts.
pub(super) fn scan(text: &str, limits: &Limits) -> Result<(), DocumentError> {
    let mut scan = Scan {
        text,
        at: 0,
        frames: Vec::with_capacity(limits.max_depth.min(8)),
        keys: Vec::with_capacity(32),
        expects_key: false,
        values: 1,
        limits,
    };
    match scan.run() {
        Ok(()) | Err(Stop::NotJson) => Ok(()),
        Err(Stop::Refused(error)) => Err(error),
    }
}

/// Why the pass ended early.
enum Stop {
    /// Not JSON from here on; the typed reader names the syntax.
    NotJson,
    Refused(DocumentError),
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    frames: Vec<Frame>,
    /// Keys of all open objects, the innermost last.
    keys: Vec<Key<'a>>,
    expects_key: bool,
    values: usize,
    limits: &'a Limits,
}

/// An open object or array.
struct Frame {
    is_object: bool,
    /// Where this object's keys begin in `Scan::keys`.
    first_key: usize,
    /// Commas so far: the index of the current element.
    index: usize,
}

struct Key<'a> {
    name: Cow<'a, str>,
    at: usize,
}

impl<'a> Scan<'a> {
    fn run(&mut self) -> Result<(), Stop> {
        let text = self.text;
        while let Some(byte) = text.as_bytes().get(self.at) {
            match byte {
                b'"' => self.string()?,
                b',' => self.comma()?,
                b'{' => self.open(true)?,
                b'[' => self.open(false)?,
                b'}' => self.close(true)?,
                b']' => self.close(false)?,
                b'-' | b'0'..=b'9' => self.number()?,
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    fn open(&mut self, is_object: bool) -> Result<(), Stop> {
        if self.frames.len() >= self.limits.max_depth {
            let error = DocumentError::too_deep(self.limits.max_depth, self.path());
            return Err(self.refuse(error, self.at));
        }
        self.count_value()?;
        self.frames.push(Frame { is_object, first_key: self.keys.len(), index: 0 });
        self.expects_key = is_object;
        self.at += 1;
        Ok(())
    }

    fn close(&mut self, is_object: bool) -> Result<(), Stop> {
        match self.frames.last() {
            Some(frame) if frame.is_object == is_object => {}
            _ => return Err(Stop::NotJson),
        }
        if is_object {
            self.refuse_duplicates()?;
        }
        if let Some(frame) = self.frames.pop() {
            self.keys.truncate(frame.first_key);
        }
        self.expects_key = false;
        self.at += 1;
        Ok(())
    }

    fn comma(&mut self) -> Result<(), Stop> {
        let frame = self.frames.last_mut().ok_or(Stop::NotJson)?;
        frame.index += 1;
        self.expects_key = frame.is_object;
        self.at += 1;
        self.count_value()
    }

    fn count_value(&mut self) -> Result<(), Stop> {
        self.values += 1;
        if self.values <= self.limits.max_values {
            return Ok(());
        }
        let error = DocumentError::too_many("values", self.limits.max_values, String::new());
        Err(self.refuse(error, self.at))
    }

    /// Sorts the keys of the innermost object, which is about to end, so that equal keys become neighbours. Sorting
    /// needs no hash that an author of keys could aim at.
    fn refuse_duplicates(&mut self) -> Result<(), Stop> {
        let first_key = self.frames.last().map_or(0, |frame| frame.first_key);
        let keys = &mut self.keys[first_key..];
        keys.sort_unstable_by(|a, b| a.name.cmp(&b.name).then(a.at.cmp(&b.at)));
        let pairs = keys.windows(2).filter(|pair| pair[0].name == pair[1].name);
        let Some(second) = pairs.map(|pair| &pair[1]).min_by_key(|key| key.at) else {
            return Ok(());
        };
        let (name, at) = (second.name.clone().into_owned(), second.at);
        Err(self.refuse_key(&name, at, DocumentError::duplicate_key))
    }

    fn string(&mut self) -> Result<(), Stop> {
        let start = self.at + 1;
        let has_escapes = self.skip_string(start)?;
        let inner = self.text.get(start..self.at).ok_or(Stop::NotJson)?;
        self.at += 1;
        if self.expects_key {
            self.expects_key = false;
            self.key(inner, start - 1, has_escapes)?;
        }
        Ok(())
    }

    /// Moves to the closing quote of the string whose content begins at `start`; says whether it has escapes.
    fn skip_string(&mut self, start: usize) -> Result<bool, Stop> {
        let bytes = self.text.as_bytes();
        let mut has_escapes = false;
        self.at = start;
        loop {
            let rest = bytes.get(self.at..).ok_or(Stop::NotJson)?;
            let step = rest.iter().position(|b| *b == b'"' || *b == b'\\');
            self.at += step.ok_or(Stop::NotJson)?;
            if bytes[self.at] == b'"' {
                return Ok(has_escapes);
            }
            has_escapes = true;
            self.escape()?;
        }
    }

    /// Moves past one escape; halves of surrogate pairs that stand alone are refused.
    fn escape(&mut self) -> Result<(), Stop> {
        let start = self.at;
        if self.text.as_bytes().get(start + 1) != Some(&b'u') {
            self.at += 2;
            return Ok(());
        }
        let unit = self.code_unit(start).ok_or(Stop::NotJson)?;
        self.at += 6;
        match unit {
            0xD800..=0xDBFF => match self.code_unit(start + 6) {
                Some(0xDC00..=0xDFFF) => {
                    self.at += 6;
                    Ok(())
                }
                _ => Err(self.lone_surrogate(unit, start)),
            },
            0xDC00..=0xDFFF => Err(self.lone_surrogate(unit, start)),
            _ => Ok(()),
        }
    }

    /// The UTF-16 code unit that is written `\uXXXX` at `at`.
    fn code_unit(&self, at: usize) -> Option<u16> {
        let digits = self.text.get(at..at + 6)?.strip_prefix("\\u")?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u16::from_str_radix(digits, 16).ok()
    }

    fn lone_surrogate(&self, unit: u16, at: usize) -> Stop {
        let message = format!("\\u{unit:04x} is half of a surrogate pair and stands alone");
        let error = DocumentError::new(ErrorKind::Syntax, message)
            .with_hint("write the whole character")
            .with_path(self.path());
        self.refuse(error, at)
    }

    fn key(&mut self, inner: &'a str, at: usize, has_escapes: bool) -> Result<(), Stop> {
        let name = if has_escapes {
            let written = self.text.get(at..self.at).ok_or(Stop::NotJson)?;
            Cow::Owned(serde_json::from_str(written).map_err(|_| Stop::NotJson)?)
        } else {
            Cow::Borrowed(inner)
        };
        if is_reserved(&name) {
            return Err(self.refuse_key(&name, at, DocumentError::reserved_key));
        }
        let first_key = self.frames.last().map_or(0, |frame| frame.first_key);
        if self.keys.len() - first_key >= self.limits.max_keys {
            let parent = path_text(self.parent_steps());
            let error = DocumentError::too_many("keys", self.limits.max_keys, parent);
            return Err(self.refuse(error, at));
        }
        self.keys.push(Key { name, at });
        Ok(())
    }

    fn number(&mut self) -> Result<(), Stop> {
        let start = self.at;
        let bytes = &self.text.as_bytes()[start..];
        let is_part = |b: &u8| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let length = bytes.iter().position(|b| !is_part(b)).unwrap_or(bytes.len());
        self.at += length;
        match number::refusal(&self.text[start..start + length]) {
            Some(error) => Err(self.refuse(error.about(self.path()), start)),
            None => Ok(()),
        }
    }

    /// The error about the key `name` of the innermost object.
    fn refuse_key(&self, name: &str, at: usize, error: fn(&str, &str) -> DocumentError) -> Stop {
        let error = error(name, &path_text(self.parent_steps()));
        let path = path_text(self.parent_steps().chain([Step::Key(name)]));
        self.refuse(error.with_path(path), at)
    }

    fn refuse(&self, error: DocumentError, at: usize) -> Stop {
        Stop::Refused(error.with_place(Place::of(self.text.as_bytes(), at)))
    }

    fn path(&self) -> String {
        path_text(self.steps(self.frames.len()))
    }

    /// The steps to the innermost object or array itself.
    fn parent_steps(&self) -> impl Iterator<Item = Step<'_>> {
        self.steps(self.frames.len().saturating_sub(1))
    }

    /// The steps through the outermost `depth` objects and arrays.
    fn steps(&self, depth: usize) -> impl Iterator<Item = Step<'_>> {
        (0..depth).filter_map(move |level| {
            let frame = &self.frames[level];
            if !frame.is_object {
                return Some(Step::Index(frame.index));
            }
            let end = self.frames.get(level + 1).map_or(self.keys.len(), |f| f.first_key);
            let key = self.keys.get(frame.first_key..end)?.last()?;
            Some(Step::Key(&key.name))
        })
    }
}
