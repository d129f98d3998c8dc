//! Tables: one record a line, cut to the terminal, never cut for a program.

use agentd_schemas::unit::time::WallMs;
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
    /// The same in fewer columns, for a narrow terminal.
    short: Option<String>,
    colour: Option<Colour>,
}

impl Cell {
    /// A value.
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self { text: plain(text.as_ref()), short: None, colour: None }
    }

    /// A value that may be absent.
    pub(crate) fn maybe(text: Option<impl AsRef<str>>) -> Self {
        text.map_or_else(|| Self::new("-"), Self::new)
    }

    /// A time: with its date and zone, or just enough of it on a narrow terminal.
    pub(crate) fn time(out: &Output, at: WallMs) -> Self {
        Self { short: Some(out.short_time(at)), ..Self::new(out.time(at)) }
    }

    /// A state in its colour.
    pub(crate) fn state(state: &str) -> Self {
        Self { colour: super::state_colour(state), ..Self::new(state) }
    }

    /// The state of what a freeze holds.
    pub(crate) fn frozen(state: &str) -> Self {
        Self { colour: super::state_colour(state), ..Self::new(format!("{state} (frozen)")) }
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

    /// The lines, with colours where `out` shows them, and the columns that the terminal has no room for.
    pub(super) fn render(&self, out: &Output) -> (String, Vec<&str>) {
        let widths = self.widths(out.width());
        let mut text = String::new();
        let head = |(name, _): &(String, Kind)| Cell { text: name.clone(), short: None, colour: Some(Colour::Bold) };
        let head: Vec<Cell> = self.heads.iter().map(head).collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            self.line(row, &widths, out, &mut text);
        }
        (text, self.heads.iter().skip(widths.len()).map(|(name, _)| name.as_str()).collect())
    }

    fn line(&self, row: &[Cell], widths: &[usize], out: &Output, text: &mut String) {
        let mut line = String::new();
        let mut due = 0;
        for (at, cell) in row.iter().enumerate().take(widths.len()) {
            let fits = cell.text.width() <= widths[at];
            let whole = if fits { &cell.text } else { cell.short.as_ref().unwrap_or(&cell.text) };
            let shown = cut(whole, widths[at]);
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

    /// Width of each column: as its widest value. Where all together are too wide for the terminal, first what has a
    /// short form takes it, then elastic columns give way, then columns are left out from the right.
    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let full = self.widest(|cell| cell.text.width());
        let Some(limit) = limit.filter(|limit| total(&full) > *limit) else {
            return full;
        };
        let mut widths = self.widest(|cell| cell.short.as_ref().unwrap_or(&cell.text).width());
        let least = |at: usize, width: usize| if self.heads[at].1 == Kind::Elastic { width.min(LEAST) } else { width };
        while widths.len() > 1
            && total(&widths.iter().enumerate().map(|(at, w)| least(at, *w)).collect::<Vec<_>>()) > limit
        {
            widths.pop();
        }
        while total(&widths) > limit {
            let elastic = (0..widths.len()).filter(|at| widths[*at] > least(*at, widths[*at]));
            match elastic.max_by_key(|at| widths[*at]) {
                Some(widest) => widths[widest] -= 1,
                // One column is left, and it is wider than the terminal.
                None => return vec![limit],
            }
        }
        widths
    }

    /// The widest value of each column, its name included.
    fn widest(&self, width_of: impl Fn(&Cell) -> usize) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heads.iter().map(|(name, _)| name.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(width_of(cell));
            }
        }
        widths
    }
}

/// Columns of a line of the terminal.
fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1)
}

/// The text in at most `width` columns; what is missing is marked.
pub(crate) fn cut(text: &str, width: usize) -> String {
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
    fn no_line_is_wider_than_the_terminal() {
        let mut table = Table::new(["ID", "~AGENT", ">SPENT", "CHANGED", "~TITLE", "KEY", "ZONE"]);
        let wide = |character: &str, width: usize| Cell::new(character.repeat(width));
        for _ in 0..2 {
            let time = Cell { short: Some("11-22 08:00".to_owned()), ..Cell::new("2026-11-22 08:00:00 UTC") };
            table.row([wide("i", 6), wide("a", 60), wide("1", 9), time, wide("t", 200), wide("k", 20), wide("z", 9)]);
        }
        for limit in [1, 10, 40, 60, 80, 100, 200] {
            let text = written(Style::default(), Some(limit), |out| out.table(&table).unwrap());
            assert!(text.lines().all(|line| line.width() <= limit), "{limit}\n{text}");
        }
        let text = written(Style::default(), Some(100), |out| out.table(&table).unwrap());
        assert!(text.contains("  11-22 08:00  ttt"), "{text}");
        let (_, left_out) = table.render(&Output::into_sink(Style::default(), Some(80), Box::new(std::io::sink())));
        assert_eq!(left_out, ["ZONE"]);
        let (_, left_out) = table.render(&Output::into_sink(Style::default(), None, Box::new(std::io::sink())));
        assert!(left_out.is_empty());
    }

    #[test]
    fn a_value_cannot_begin_a_line_of_its_own() {
        let mut table = Table::new(["TITLE"]);
        table.row([Cell::new("a\nb")]);
        assert_eq!(written(Style::default(), None, |out| out.table(&table).unwrap()), "TITLE\na; b\n");
    }
}
