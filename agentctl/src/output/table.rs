//! Tables: one record a line, cut to the terminal, never cut for a program.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Colour, Output, plain};

/// Least columns of a column that gives way.
const LEAST: usize = 8;
/// Between two columns.
const GAP: &str = "  ";

/// One value: one line, safe to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    colour: Option<Colour>,
}

impl Cell {
    /// A value.
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self { text: plain(text.as_ref()), colour: None }
    }

    /// A value that may be absent.
    pub(crate) fn maybe(text: Option<impl AsRef<str>>) -> Self {
        text.map_or_else(|| Self::new("-"), Self::new)
    }

    /// A state in its colour.
    pub(crate) fn state(state: &str) -> Self {
        Self { colour: super::state_colour(state), ..Self::new(state) }
    }
}

impl<T: std::fmt::Display> From<T> for Cell {
    fn from(value: T) -> Self {
        Self::new(value.to_string())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Left,
    Right,
    /// Gives way where the terminal is narrow.
    Elastic,
}

/// Rows under a heading.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    heads: Vec<(String, Kind)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns. `>` before a name puts its values to the right, `~` lets the column give way where
    /// the terminal is narrow.
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        let head = |name: &'a str| match (name.strip_prefix('>'), name.strip_prefix('~')) {
            (Some(name), _) => (plain(name), Kind::Right),
            (_, Some(name)) => (plain(name), Kind::Elastic),
            _ => (plain(name), Kind::Left),
        };
        Self { heads: columns.into_iter().map(head).collect(), rows: Vec::new() }
    }

    /// Adds a record.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, with colours where `out` shows them.
    pub(super) fn render(&self, out: &Output) -> String {
        let widths = self.widths(out.width());
        let mut text = String::new();
        let head: Vec<Cell> =
            self.heads.iter().map(|(name, _)| Cell { text: name.clone(), colour: Some(Colour::Bold) }).collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            self.line(row, &widths, out, &mut text);
        }
        text
    }

    fn line(&self, row: &[Cell], widths: &[usize], out: &Output, text: &mut String) {
        let mut line = String::new();
        let mut due = 0;
        for (at, cell) in row.iter().enumerate().take(widths.len()) {
            let shown = cut(&cell.text, widths[at]);
            let free = widths[at].saturating_sub(shown.width());
            if self.heads[at].1 == Kind::Right {
                due += free;
            }
            // Blanks are only written before something, so that no line ends in them.
            if !shown.is_empty() {
                line.extend(std::iter::repeat_n(' ', due));
                due = 0;
                line.push_str(&cell.colour.map_or_else(|| shown.clone(), |colour| out.paint(colour, &shown)));
            }
            if self.heads[at].1 != Kind::Right {
                due += free;
            }
            due += GAP.len();
        }
        text.push_str(&line);
        text.push('\n');
    }

    /// Width of each column: as its widest value, less for elastic ones where all together are too wide.
    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heads.iter().map(|(name, _)| name.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        let Some(limit) = limit else {
            return widths;
        };
        let total: usize = widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1);
        let mut excess = total.saturating_sub(limit);
        while excess > 0 {
            let elastic = (0..widths.len()).filter(|at| self.heads[*at].1 == Kind::Elastic && widths[*at] > LEAST);
            let Some(widest) = elastic.max_by_key(|at| widths[*at]) else {
                break;
            };
            widths[widest] -= 1;
            excess -= 1;
        }
        widths
    }
}

/// The text in at most `width` columns; what is missing is marked.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 1;
    let kept = text.chars().take_while(|character| {
        used += character.width().unwrap_or(0);
        used <= width
    });
    let mut shown: String = kept.collect();
    shown.push('…');
    shown
}

#[cfg(test)]
mod tests {
    use super::super::tests::written;
    use super::*;
    use crate::output::Style;

    fn table() -> Table {
        let mut table = Table::new(["ID", "~TITLE", ">SPENT", "STATE"]);
        table.row([
            Cell::new("w-7kq3"),
            Cell::new("Make the retry test deterministic"),
            "1.20 USD".into(),
            "ready".into(),
        ]);
        table.row([Cell::new("w-a2"), Cell::new("漢字"), "0.50 USD".into(), "".into()]);
        table
    }

    #[test]
    fn nothing_is_cut_for_a_program_and_no_line_ends_in_blanks() {
        let text = written(Style::default(), None, |out| out.table(&table()).unwrap());
        assert_eq!(
            text,
            "ID      TITLE                                 SPENT  STATE\n\
             w-7kq3  Make the retry test deterministic  1.20 USD  ready\n\
             w-a2    漢字                               0.50 USD\n"
        );
    }

    #[test]
    fn the_elastic_column_gives_way_to_a_narrow_terminal() {
        let text = written(Style::default(), Some(40), |out| out.table(&table()).unwrap());
        assert!(text.lines().all(|line| line.width() <= 40), "{text}");
        assert!(text.contains("w-7kq3  Make the retry…  1.20 USD  ready"), "{text}");
    }

    #[test]
    fn a_value_cannot_begin_a_line_of_its_own() {
        let mut table = Table::new(["TITLE"]);
        table.row([Cell::new("a\nb")]);
        assert_eq!(written(Style::default(), None, |out| out.table(&table).unwrap()), "TITLE\na; b\n");
    }
}
