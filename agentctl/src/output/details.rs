//! One thing in full: a label and its value on each line.

use unicode_width::UnicodeWidthStr as _;

use super::{Output, plain, plain_lines};
use crate::error::Failure;

/// Columns that a value has at least, however narrow the terminal.
const LEAST_ROOM: usize = 20;

/// Lines of a label and a value; absent values have no line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details(Vec<(String, String)>);

impl Details {
    /// No lines yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A line.
    pub(crate) fn add(&mut self, label: &str, value: impl std::fmt::Display) -> &mut Self {
        self.0.push((label.to_owned(), plain(&value.to_string())));
        self
    }

    /// A line with a value that is already safe to print, such as a coloured one.
    pub(crate) fn painted(&mut self, label: &str, value: String) -> &mut Self {
        self.0.push((label.to_owned(), value));
        self
    }

    /// A line where there is a value.
    pub(crate) fn maybe(&mut self, label: &str, value: Option<impl std::fmt::Display>) -> &mut Self {
        if let Some(value) = value {
            self.add(label, value);
        }
        self
    }

    /// A line with values side by side, where there are any.
    pub(crate) fn list<T: std::fmt::Display>(&mut self, label: &str, values: impl IntoIterator<Item = T>) -> &mut Self {
        let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        if values.is_empty() { self } else { self.add(label, values.join(", ")) }
    }

    /// Writes the lines, values under each other. On a terminal, a value that is too long goes on below itself.
    pub(crate) fn write(&self, out: &Output) -> Result<(), Failure> {
        let width = self.0.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        let room = out.width().map_or(usize::MAX, |columns| columns.saturating_sub(width + 2).max(LEAST_ROOM));
        for (label, value) in &self.0 {
            for (at, line) in broken(value, room).iter().enumerate() {
                let label = if at == 0 { label.as_str() } else { "" };
                out.line(format!("{label:<width$}  {line}").trim_end())?;
            }
        }
        Ok(())
    }
}

/// A text in lines of at most `room` columns, broken between words. A word that is longer has a line of its own.
fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut columns = 0;
    for word in text.split(' ') {
        // A coloured word is wider to this count than to an eye: it goes to a new line too early, and never too late.
        let wide = word.width();
        let line = lines.last_mut();
        match line {
            Some(line) if columns == 0 || columns + 1 + wide <= room => {
                if columns > 0 || !line.is_empty() {
                    line.push(' ');
                    columns += 1;
                }
                line.push_str(word);
                columns += wide;
            }
            _ => {
                lines.push(word.to_owned());
                columns = wide;
            }
        }
    }
    lines
}

impl Output {
    /// A heading and an indented text of perhaps many lines.
    pub(crate) fn section(&self, heading: &str, text: &str) -> Result<(), Failure> {
        self.line("")?;
        self.line(self.paint(super::Colour::Bold, heading))?;
        plain_lines(text.trim_end()).lines().try_for_each(|line| self.line(format!("  {line}").trim_end()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Style, tests::written};
    use super::*;

    #[test]
    fn a_long_value_goes_on_below_itself_on_a_terminal() {
        assert_eq!(broken("", 5), [""]);
        assert_eq!(broken("one two three", 7), ["one two", "three"]);
        assert_eq!(broken("a  b", 80), ["a  b"]);
        assert_eq!(broken("incomprehensibilities a b", 3), ["incomprehensibilities", "a b"]);
        assert_eq!(broken("漢字 漢字", 8), ["漢字", "漢字"]);
        let text = written(Style::default(), Some(30), |out| {
            Details::new().add("held", "one thing and another thing").write(out).unwrap();
        });
        assert_eq!(text, "held  one thing and another\n      thing\n");
    }

    #[test]
    fn values_stand_under_each_other_and_absent_ones_have_no_line() {
        let text = written(Style::default(), None, |out| {
            let mut details = Details::new();
            details.add("id", "w-a").maybe("deadline", None::<&str>).list("labels", ["a=b", "c=d"]);
            details.write(out).unwrap();
            out.section("instructions", "one\n\ntwo\u{1b}\n").unwrap();
        });
        assert_eq!(text, "id      w-a\nlabels  a=b, c=d\n\ninstructions\n  one\n\n  two\\u{1b}\n");
    }
}
