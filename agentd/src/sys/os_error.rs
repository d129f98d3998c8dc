//! What the system says went wrong, as people read it.

/// The system's numbers of errors stand behind its words (` (os error 2)`), and say nothing to people.
pub fn without_numbers(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once(" (os error ") {
        out.push_str(before);
        match behind.split_once(')') {
            Some((number, after)) if number.bytes().all(|b| b.is_ascii_digit()) => rest = after,
            _ => {
                out.push_str(" (os error ");
                rest = behind;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_go_and_what_looks_like_one_stays() {
        let said = "a: No such file or directory (os error 2): b (os error x)";
        assert_eq!(super::without_numbers(said), "a: No such file or directory: b (os error x)");
    }
}
