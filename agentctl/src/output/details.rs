//! One thing in full: a label and its value on each line.

use super::{Output, plain, plain_lines};
use crate::error::Failure;

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

    /// Writes the lines, values under each other.
    pub(crate) fn write(&self, out: &Output) -> Result<(), Failure> {
        let width = self.0.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        self.0.iter().try_for_each(|(label, value)| out.line(format!("{label:<width$}  {value}").trim_end()))
    }
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
