//! How large a pattern becomes when it is compiled.

/// A class of Unicode, as `\p{L}`, is hundreds of ranges.
const UNICODE_CLASS: u64 = 100;

/// The positions of a pattern with each counted repetition written out. Not exact, but what grows shows.
pub(super) fn positions(pattern: &str) -> u64 {
    let mut open: Vec<u64> = Vec::new();
    let (mut sum, mut atom) = (0_u64, 0_u64);
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '(' => {
                open.push(sum);
                (sum, atom) = (0, 0);
            }
            ')' => {
                atom = sum;
                sum = sum.saturating_add(open.pop().unwrap_or(0));
            }
            '{' => {
                let text: String = rest.by_ref().take_while(|c| *c != '}').collect();
                let times = text.split(',').filter_map(|number| number.trim().parse::<u64>().ok()).max().unwrap_or(1);
                sum = sum.saturating_add(atom.saturating_mul(times.saturating_sub(1)));
                atom = atom.saturating_mul(times.max(1));
            }
            '*' | '+' | '?' | '|' | '^' | '$' => {}
            _ => {
                atom = match c {
                    '[' => class(&mut rest),
                    '\\' => escape(&mut rest),
                    _ => 1,
                };
                sum = sum.saturating_add(atom);
            }
        }
    }
    open.into_iter().fold(sum, u64::saturating_add)
}

fn escape(rest: &mut std::str::Chars<'_>) -> u64 {
    if !matches!(rest.next(), Some('p' | 'P')) {
        return 1;
    }
    if rest.as_str().starts_with('{') {
        rest.by_ref().take_while(|c| *c != '}').for_each(drop);
    }
    UNICODE_CLASS
}

fn class(rest: &mut std::str::Chars<'_>) -> u64 {
    let (mut depth, mut weight) = (1_u32, 4_u64);
    while depth > 0 {
        weight += match rest.next() {
            None => return weight / 4,
            Some('[') => {
                depth += 1;
                1
            }
            Some(']') => {
                depth -= 1;
                0
            }
            Some('\\') => escape(rest).saturating_mul(4),
            Some(_) => 1,
        };
    }
    weight / 4
}

#[cfg(test)]
mod tests {
    use super::positions;

    #[test]
    fn a_counted_repetition_is_as_long_as_written_out() {
        for (pattern, is) in [
            ("", 0),
            ("abc", 3),
            ("^a*b+c?$", 3),
            ("a{3}", 3),
            ("a{2,5}b", 6),
            ("a{4,}", 4),
            ("(ab){3}", 6),
            ("((a{10}){10}){10}", 1000),
            ("(a|b){2}", 4),
            (r"\d{4}-\d{2}", 7),
            (r"\p{L}{2}", 200),
            (r"\{2\}", 3),
            ("[a-z]{3}", 3),
            (r"[\]a]{2}", 4),
            ("a{9223372036854775807}{9}", u64::MAX),
            ("(((", 0),
            ("a{", 1),
        ] {
            assert_eq!(positions(pattern), is, "{pattern}");
        }
    }
}
