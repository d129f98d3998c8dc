//! JSON text indented as it stands: its members keep their order, its numbers and strings their spelling.

/// Blanks for each level.
const STEP: usize = 2;

/// The text with line breaks and indentation outside its strings. Text that is no JSON comes out as some text.
pub(crate) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        if in_string {
            out.push(character);
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match character {
            '"' => {
                in_string = true;
                out.push(character);
            }
            '{' | '[' => {
                out.push(character);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(close) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(character);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            blank if blank.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', depth * STEP));
}

#[cfg(test)]
mod tests {
    use super::indented;

    #[test]
    fn members_keep_their_order_and_values_their_spelling() {
        let json = r#"{"b":1.50,"a":{"x":[],"y":[1,{"z":"a,\"b: {"}]}, "e" : { } }"#;
        let text = "{\n  \"b\": 1.50,\n  \"a\": {\n    \"x\": [],\n    \"y\": [\n      1,\n      {\n        \"z\": \
                    \"a,\\\"b: {\"\n      }\n    ]\n  },\n  \"e\": {}\n}";
        assert_eq!(indented(json), text);
        let same = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(same(&indented(json)), same(json));
    }

    #[test]
    fn text_that_is_no_json_is_no_panic() {
        for text in ["", "}", "]]]", "\"", "\"\\", "{", "[,:"] {
            indented(text);
        }
    }
}
