//! What templates name, filled in.

use std::collections::BTreeMap;

use agentd_schemas::document::program::TEMPLATE_NAMES;

use super::host::Refused;
use crate::domain::template::{Piece, pieces};

/// Bytes of one word of a command line or of its environment that Linux takes.
const MAX_WORD_BYTES: usize = 131_071;

/// What each name stands for in one run.
pub(super) struct Values(BTreeMap<&'static str, String>);

impl Values {
    /// Names that have no value are empty.
    pub(super) fn new(values: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self(values.into_iter().collect())
    }

    /// Fills a template in; `place` is where it stands, for the error. What is filled in is not looked at again.
    pub(super) fn fill(&self, place: &str, most: usize, template: &str) -> Result<String, Refused> {
        self.filled(place, template, |bytes| {
            (bytes > most).then(|| format!("it has {bytes} bytes, and {most} are left for files of the home"))
        })
    }

    /// Fills in what becomes a word of a command line or of its environment, where `before` bytes are before it.
    pub(super) fn word(&self, place: &str, before: usize, template: &str) -> Result<String, Refused> {
        self.filled(place, template, |bytes| {
            let most = MAX_WORD_BYTES.saturating_sub(before);
            (bytes > most).then(|| {
                format!(
                    "it has {bytes} bytes, and Linux takes {most}; long texts come by file: {{{{ instructions_file }}}}, \
                     {{{{ task_file }}}}, or by program.stdin"
                )
            })
        })
    }

    fn filled(&self, place: &str, template: &str, refuse: impl Fn(usize) -> Option<String>) -> Result<String, Refused> {
        let pieces = pieces(template, &TEMPLATE_NAMES).map_err(|reason| Refused::new(format!("{place}: {reason}")))?;
        let of = |piece| match piece {
            Piece::Text(text) => text,
            Piece::Name(name) => self.0.get(name).map_or("", String::as_str),
        };
        let texts: Vec<&str> = pieces.into_iter().map(of).collect();
        // Before they are put together: a short template can name a long text many times.
        match refuse(texts.iter().map(|text| text.len()).sum()) {
            Some(reason) => Err(Refused(format!("{place}: {reason}"))),
            None => Ok(texts.concat()),
        }
    }

    /// Fills the words of a command in.
    pub(super) fn words(&self, place: &str, words: &[String]) -> Result<Vec<String>, Refused> {
        let word = |(at, word): (usize, &String)| self.word(&format!("{place}[{at}]"), 0, word);
        words.iter().enumerate().map(word).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_no_template() {
        let values = Values::new([("title", "{{ work }}".to_owned()), ("work", "w".to_owned())]);
        assert_eq!(values.fill("x", 99, "{{ title }}/{{work}}/{{ session }}/{{{{").unwrap(), "{{ work }}/w//{{");
        assert!(values.word("command[2]", 0, "{{ wrok }}").unwrap_err().to_string().starts_with("command[2]: "));
    }

    #[test]
    fn what_would_be_too_long_is_refused_and_says_where_it_may_go() {
        let values = Values::new([("instructions", "x".repeat(131_071)), ("title", "y".repeat(1 << 20))]);
        let words =
            |words: &[&str]| values.words("command", &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(words(&["a", "{{ instructions }}"]).unwrap()[1].len(), 131_071);
        let said = words(&["a", "-p{{ instructions }}"]).unwrap_err().to_string();
        assert!(
            said.starts_with("command[1]: it has 131073 bytes") && said.contains("{{ instructions_file }}"),
            "{said}"
        );
        values.word("program.environment.A", 2, "{{ instructions }}").unwrap_err();
        let many = "{{ title }}".repeat(1000);
        assert!(
            values.fill("program.files.\"a\"", 16 << 20, &many).unwrap_err().to_string().contains("1048576000 bytes")
        );
    }
}
