//! What a person or a program sees: data on stdout, everything else on stderr.
//!
//! This room formats and writes; it asks nobody. Everything that another principal wrote (titles, notes, failure
//! messages) passes [`plain`] before it reaches a terminal, so that no text can move the cursor or turn the direction
//! of what is read. Colour only repeats what a word says.

mod details;
mod fields;
mod indent;
mod table;
mod text;

use std::cell::{OnceCell, RefCell};
use std::io::{BufWriter, IsTerminal, Write};

use agentd_schemas::unit::time::WallMs;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::error::Failure;

pub(crate) use details::Details;
pub(crate) use indent::indented;
pub(crate) use table::{Cell, Table, cut};
pub(crate) use text::{
    bytes, count, days, elapsed, local_times, money, plain, plain_lines, shell_word, span_ms, state_colour,
};

/// Colours that terminals have; each goes with a word that says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Headings.
    Bold,
    /// Less important.
    Dim,
    /// Good.
    Green,
    /// Wants attention.
    Yellow,
    /// Bad.
    Red,
    /// Under way.
    Cyan,
}

impl Colour {
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Cyan => "36",
        }
    }
}

/// How answers are to be given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Style {
    /// JSON instead of words.
    pub(crate) json: bool,
    /// Only these fields; all when empty.
    pub(crate) fields: Vec<String>,
    /// Ids only, and no notes.
    pub(crate) quiet: bool,
    /// No colours, whatever the terminal can do.
    pub(crate) no_colour: bool,
}

/// Where answers go.
pub(crate) struct Output {
    style: Style,
    colour: bool,
    /// Columns of the terminal; none when stdout is no terminal, and then nothing is cut.
    width: Option<usize>,
    zone: OnceCell<TimeZone>,
    stdout: RefCell<Box<dyn Write>>,
    /// Something went there already.
    has_written: std::cell::Cell<bool>,
}

impl Output {
    /// Writes to stdout, with colours and a width where that is a terminal.
    pub(crate) fn stdout(style: Style) -> Self {
        let stdout = std::io::stdout();
        let terminal = stdout.is_terminal();
        let plain_terminal = crate::ambient::text("TERM").is_none_or(|term| term == "dumb");
        let no_colour = style.no_colour || crate::ambient::var("NO_COLOR").is_some() || plain_terminal;
        let width = terminal.then(|| {
            let columns = rustix::termios::tcgetwinsize(&stdout).map_or(80, |size| usize::from(size.ws_col));
            if columns == 0 { 80 } else { columns }
        });
        let stdout = RefCell::new(Box::new(BufWriter::new(stdout)) as Box<dyn Write>);
        Self {
            style,
            colour: terminal && !no_colour,
            width,
            zone: OnceCell::new(),
            stdout,
            has_written: std::cell::Cell::new(false),
        }
    }

    /// Writes into `sink`, for tests: UTC, no colours.
    #[cfg(test)]
    pub(crate) fn into_sink(style: Style, width: Option<usize>, sink: Box<dyn Write>) -> Self {
        let (zone, stdout, has_written) =
            (OnceCell::from(TimeZone::UTC), RefCell::new(sink), std::cell::Cell::new(false));
        Self { style, colour: false, width, zone, stdout, has_written }
    }

    /// Whether programs read.
    pub(crate) fn is_json(&self) -> bool {
        self.style.json
    }

    /// Whether ids are enough.
    pub(crate) fn is_quiet(&self) -> bool {
        self.style.quiet
    }

    /// Whether a person reads words: no JSON, no field list, not quiet.
    pub(crate) fn is_human(&self) -> bool {
        !self.style.json && !self.style.quiet && self.style.fields.is_empty()
    }

    /// Columns of the terminal, if stdout is one.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// The zone of the person.
    pub(crate) fn zone(&self) -> &TimeZone {
        self.zone.get_or_init(|| {
            crate::ambient::known_zone().unwrap_or_else(|why| {
                self.aside("note", &format!("{why}; times are shown in UTC"));
                TimeZone::UTC
            })
        })
    }

    /// Words of the daemon, which tells times in UTC, with the times as people see them everywhere else.
    pub(crate) fn local(&self, words: &str) -> String {
        text::local_times(words, |at| self.time(at))
    }

    /// A time for people: local, with its zone.
    pub(crate) fn time(&self, at: WallMs) -> String {
        at.local(self.zone())
    }

    /// The same in fewer columns, without a year that is this year, seconds and the zone.
    pub(crate) fn short_time(&self, at: WallMs) -> String {
        let there = |at: WallMs| at.timestamp().to_zoned(self.zone().clone());
        let is_this_year = there(at).year() == there(crate::ambient::now()).year();
        there(at).strftime(if is_this_year { "%m-%d %H:%M" } else { "%Y-%m-%d" }).to_string()
    }

    /// The text in a colour, where colours are shown.
    pub(crate) fn paint(&self, colour: Colour, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        format!("\x1b[{}m{text}\x1b[0m", colour.code())
    }

    /// A state in its colour.
    pub(crate) fn state(&self, state: &str) -> String {
        match state_colour(state) {
            Some(colour) => self.paint(colour, state),
            None => state.to_owned(),
        }
    }

    /// One line on stdout. The caller has made foreign text [`plain`].
    pub(crate) fn line(&self, text: impl std::fmt::Display) -> Result<(), Failure> {
        self.has_written.set(true);
        Ok(writeln!(self.stdout.borrow_mut(), "{text}")?)
    }

    /// Exact bytes on stdout.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.has_written.set(true);
        Ok(self.stdout.borrow_mut().write_all(bytes)?)
    }

    /// Whether anything of an answer was written already.
    pub(crate) fn has_written(&self) -> bool {
        self.has_written.get()
    }

    /// Hands everything to the reader now.
    pub(crate) fn flush(&self) -> Result<(), Failure> {
        Ok(self.stdout.borrow_mut().flush()?)
    }

    /// A table on stdout, fitted to the terminal.
    pub(crate) fn table(&self, table: &Table) -> Result<(), Failure> {
        let (text, left_out) = table.render(self);
        self.raw(text.as_bytes())?;
        if !left_out.is_empty() {
            self.note(format!("no room for {}; a wider terminal, a pipe or --fields shows it", left_out.join(", ")));
        }
        Ok(())
    }

    /// Something to know, on stderr; not with `--quiet`.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        self.aside("note", &self.local(text.as_ref()));
    }

    /// What to do next, on stderr; not with `--quiet` and not for programs.
    pub(crate) fn hint(&self, text: impl AsRef<str>) {
        if !self.style.json {
            self.aside("hint", text.as_ref());
        }
    }

    fn aside(&self, word: &str, text: &str) {
        if self.style.quiet {
            return;
        }
        // What was said before stands before it, where both streams are one screen. A reader that went away shows later.
        let _ = self.stdout.borrow_mut().flush();
        // Nobody to tell when stderr is gone.
        let _ = writeln!(std::io::stderr(), "{word}: {}", plain(text));
    }

    /// One document: as JSON, as its chosen fields, as ids, or in words.
    pub(crate) fn show<T: Serialize>(
        &self,
        view: &T,
        ids: &[String],
        words: impl FnOnce(&Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.style.quiet {
            return ids.iter().try_for_each(|id| self.line(id));
        }
        if !self.style.fields.is_empty() {
            return fields::show(self, view);
        }
        if self.style.json {
            return self.json(view);
        }
        words(self)
    }

    /// That something was done: to `id`, in words.
    pub(crate) fn done(&self, kind: &str, id: &str, words: &str) -> Result<(), Failure> {
        let view = serde_json::json!({ kind: id });
        self.show(&view, &[id.to_owned()], |out| out.line(plain(words)))
    }

    /// One JSON document: indented for a terminal, on one line for a program.
    pub(crate) fn json<T: Serialize>(&self, view: &T) -> Result<(), Failure> {
        let text = match self.width {
            Some(_) => serde_json::to_string_pretty(view),
            None => serde_json::to_string(view),
        };
        let text = text.map_err(|error| Failure::local(format!("cannot write the answer as JSON: {error}")))?;
        self.line(text)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::rc::Rc;

    use super::*;

    /// A sink that tests look into.
    #[derive(Clone, Default)]
    pub(crate) struct Sink(Rc<RefCell<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What `act` writes to stdout.
    pub(crate) fn written(style: Style, width: Option<usize>, act: impl FnOnce(&Output)) -> String {
        let sink = Sink::default();
        act(&Output::into_sink(style, width, Box::new(sink.clone())));
        String::from_utf8(sink.0.take()).unwrap()
    }

    #[test]
    fn each_style_gives_its_own_form_of_one_answer() {
        let view = serde_json::json!({ "id": "w-a", "title": "one" });
        let show = |style: Style| {
            written(style, None, |out| {
                out.show(&view, &["w-a".to_owned()], |out| out.line("words")).unwrap();
            })
        };
        assert_eq!(show(Style::default()), "words\n");
        assert_eq!(show(Style { quiet: true, ..Style::default() }), "w-a\n");
        assert_eq!(show(Style { json: true, ..Style::default() }), "{\"id\":\"w-a\",\"title\":\"one\"}\n");
        let fields = vec!["title".to_owned()];
        assert_eq!(show(Style { json: true, fields: fields.clone(), ..Style::default() }), "{\"title\":\"one\"}\n");
        assert_eq!(show(Style { fields, ..Style::default() }), "TITLE\none\n");
    }
}
