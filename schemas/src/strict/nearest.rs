//! The known word that somebody probably meant.

/// Longer words are not compared: the distance costs the product of the lengths.
const MAX_CHARS: usize = 64;

/// The candidate nearest to `word`, when it is close enough to be worth naming: at most one edit for each three
/// characters (insertion, deletion, substitution, transposition), ignoring case and `-` against `_`. Where none is, the only
/// one that ends with `_` and the word, or with which the word ends so.
pub fn nearest<'a>(candidates: &[&'a str], word: &str) -> Option<&'a str> {
    let length = word.chars().count();
    if length == 0 || length > MAX_CHARS {
        return None;
    }
    let word = folded(word);
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        let other = candidate.chars().count();
        let allowed = (length.max(other) / 3).max(1);
        if other > MAX_CHARS || other.abs_diff(length) > allowed {
            continue;
        }
        let distance = strsim::damerau_levenshtein(&word, &folded(candidate));
        // An edit that replaces the whole of a short word says nothing about it.
        let close = distance <= allowed && distance < length;
        if close && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate).or_else(|| longer_or_shorter(candidates, &word))
}

/// The one candidate that says more or less of the same, as `required_skills` and `skills` do.
fn longer_or_shorter<'a>(candidates: &[&'a str], word: &str) -> Option<&'a str> {
    let ends = |long: &str, short: &str| long.strip_suffix(short).is_some_and(|rest| rest.ends_with('_'));
    let alike = |candidate: &&&str| ends(&folded(candidate), word) || ends(word, &folded(candidate));
    let mut found = candidates.iter().filter(alike);
    found.next().filter(|_| found.next().is_none()).copied()
}

fn folded(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::nearest;
    use proptest::prelude::*;

    const FIELDS: [&str; 6] = ["title", "skills", "max_cost", "max_tokens", "timeout", "id"];

    #[test]
    fn a_slip_finds_its_word_and_a_different_word_finds_none() {
        for (word, meant) in [
            ("skils", Some("skills")),
            ("skillls", Some("skills")),
            ("tilte", Some("title")),
            ("maxCost", Some("max_cost")),
            ("max-tokens", Some("max_tokens")),
            ("TIMEOUT", Some("timeout")),
            ("di", Some("id")),
            ("x", None),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(&FIELDS, word), meant, "{word}");
        }
        assert_eq!(nearest(&[], "title"), None);
        assert_eq!(nearest(&FIELDS, &"title".repeat(100)), None);
    }

    #[test]
    fn a_word_with_more_or_less_before_it_is_found_where_only_one_is_meant() {
        assert_eq!(nearest(&["title", "required_skills"], "skills"), Some("required_skills"));
        assert_eq!(nearest(&["name", "skills"], "required_skills"), Some("skills"));
        assert_eq!(nearest(&["max_cost", "day_cost"], "cost"), None);
        assert_eq!(nearest(&["kills", "a"], "required_skills"), None, "whole words alone");
    }

    #[test]
    fn of_two_equally_near_the_first_is_named() {
        assert_eq!(nearest(&["cart", "card"], "carx"), Some("cart"));
    }

    proptest! {
        #[test]
        fn a_candidate_is_nearest_to_itself(index in 0..FIELDS.len()) {
            prop_assert_eq!(nearest(&FIELDS, FIELDS[index]), Some(FIELDS[index]));
        }

        #[test]
        fn any_word_is_answered(word in "\\PC{0,80}") {
            let found = nearest(&FIELDS, &word);
            prop_assert!(found.is_none_or(|field| FIELDS.contains(&field)));
        }
    }
}
