//! Where the progress of works is shown.

use std::io::{IsTerminal, Write};

use crate::output::Output;

/// Where progress is shown: one line that is rewritten, or a line for each change.
pub(super) struct Screen {
    quiet: bool,
    rewrites: bool,
    width: usize,
    drawn: bool,
}

impl Screen {
    pub(super) fn new(out: &Output) -> Self {
        let rewrites = std::io::stderr().is_terminal() && !out.is_quiet() && !out.is_json();
        Self { quiet: out.is_quiet(), rewrites, width: out.width().unwrap_or(100), drawn: false }
    }

    pub(super) fn say(&mut self, line: &str) {
        if self.quiet {
            return;
        }
        self.clear();
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    pub(super) fn draw(&mut self, line: &str) {
        if !self.rewrites {
            return;
        }
        let short: String = line.chars().take(self.width.saturating_sub(1)).collect();
        let _ = write!(std::io::stderr(), "\r\x1b[K{short}");
        self.drawn = true;
    }

    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
