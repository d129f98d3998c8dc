//! What templates name, filled in.

use std::collections::BTreeMap;

use agentd_schemas::document::program::TEMPLATE_NAMES;

use super::host::Refused;
use crate::domain::template::{Piece, pieces};

/// What each name stands for in one run.
pub(super) struct Values(BTreeMap<&'static str, String>);

impl Values {
    /// Names that have no value are empty.
    pub(super) fn new(values: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self(values.into_iter().collect())
    }

    /// Fills a template in; `place` is where it stands, for the error. What is filled in is not looked at again.
    pub(super) fn fill(&self, place: &str, template: &str) -> Result<String, Refused> {
        let pieces = pieces(template, &TEMPLATE_NAMES).map_err(|reason| Refused::new(format!("{place}: {reason}")))?;
        let of = |piece| match piece {
            Piece::Text(text) => text,
            Piece::Name(name) => self.0.get(name).map_or("", String::as_str),
        };
        Ok(pieces.into_iter().map(of).collect())
    }

    /// Fills the words of a command in.
    pub(super) fn words(&self, place: &str, words: &[String]) -> Result<Vec<String>, Refused> {
        words.iter().map(|word| self.fill(place, word)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_no_template() {
        let values = Values::new([("title", "{{ work }}".to_owned()), ("work", "w".to_owned())]);
        assert_eq!(values.fill("x", "{{ title }}/{{work}}/{{ session }}/{{{{").unwrap(), "{{ work }}/w//{{");
        assert!(values.fill("command[2]", "{{ wrok }}").unwrap_err().to_string().starts_with("command[2]: "));
    }
}
