//! Templates: texts that name what agentd fills in, `{{ name }}`. `{{{{` stands for two braces.

use agentd_schemas::strict::nearest;

/// A piece of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// As it is.
    Text(&'a str),
    /// What this name stands for.
    Name(&'a str),
}

/// Takes a template apart. Only `names` are known; the error says which place is wrong, and what was probably meant.
pub fn pieces<'a>(template: &'a str, names: &[&str]) -> Result<Vec<Piece<'a>>, String> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find("{{") {
        let (before, found) = rest.split_at(at);
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        let inside = &found[2..];
        if let Some(after) = inside.strip_prefix("{{") {
            pieces.push(Piece::Text("{{"));
            rest = after;
            continue;
        }
        let place = template.len() - found.len() + 1;
        let Some((name, after)) = inside.split_once("}}") else {
            return Err(format!("the braces at byte {place} are not closed; two braces as such are written {{{{{{{{"));
        };
        let name = name.trim_matches([' ', '\t']);
        if !names.contains(&name) {
            let shown: String = name.chars().take(40).flat_map(char::escape_debug).collect();
            let meant = match nearest(names, name) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are: {}", names.join(", ")),
            };
            return Err(format!("{{{{ {shown} }}}} at byte {place} is nothing that is filled in; {meant}"));
        }
        pieces.push(Piece::Name(name));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentd_schemas::document::program::TEMPLATE_NAMES;

    fn read(template: &str) -> Result<Vec<Piece<'_>>, String> {
        pieces(template, &TEMPLATE_NAMES)
    }

    #[test]
    fn names_stand_between_braces_with_or_without_blanks() {
        let expected = vec![Piece::Text("-p "), Piece::Name("task"), Piece::Name("work"), Piece::Text("!")];
        assert_eq!(read("-p {{ task }}{{work}}!").unwrap(), expected);
        assert_eq!(read("").unwrap(), Vec::new());
        assert_eq!(read("a } b }} c { d").unwrap(), vec![Piece::Text("a } b }} c { d")]);
        assert_eq!(read("{{{{ task }}").unwrap(), vec![Piece::Text("{{"), Piece::Text(" task }}")]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_what_was_meant() {
        assert!(read("ab {{ tasks }}").unwrap_err().contains("byte 4"), "{:?}", read("ab {{ tasks }}"));
        assert!(read("{{ tittle }}").unwrap_err().contains("did you mean title?"));
        assert!(read("{{ task").unwrap_err().contains("not closed"));
        assert!(read("{{}}").unwrap_err().contains("there are: agent"));
    }
}
