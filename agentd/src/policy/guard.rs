//! What a policy file must be before a parser sees it: bounded, shallow, and readable as it is written.

use super::Rejected;

/// Bytes of a policy file, and of one with example requests, at most.
pub(super) const MAX_POLICY_FILE_BYTES: usize = 256 << 10;
/// Brackets within brackets, and `if` within one policy, at most.
pub(super) const MAX_POLICY_NESTING: usize = 32;
/// Operators within one policy, at most: each makes an expression one deeper.
pub(super) const MAX_POLICY_OPERATORS: usize = 512;
/// Policies of a host, at most.
pub(super) const MAX_POLICIES: usize = 1024;

/// Looks through the text of a policy file.
pub(super) fn look_through<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Rejected> {
    let text = readable(file, bytes)?;
    Scan { file, text, nesting: 0, operators: 0, branches: 0, policies: 0 }.run()?;
    Ok(text)
}

/// Size, UTF-8, and no character that is not seen, or that turns others round.
pub(super) fn readable<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Rejected> {
    if bytes.len() > MAX_POLICY_FILE_BYTES {
        return Err(Rejected::of(file, format!("is larger than {MAX_POLICY_FILE_BYTES} bytes"))
            .hint("write several files, or fewer policies that say more"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
        Rejected::of(file, "is not UTF-8").at(&before, before.len()).hint("save it as UTF-8")
    })?;
    match text.char_indices().find(|(_, c)| is_hidden(*c)) {
        None => Ok(text),
        Some((at, c)) => Err(Rejected::of(file, format!("has the invisible character U+{:04X}", u32::from(c)))
            .at(text, at)
            .hint("remove it: what is read must be what is seen")),
    }
}

/// Control characters, those that join, split or turn text round without being seen, and tags.
const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}'
        | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// One pass over the text, outside of strings and comments.
struct Scan<'a> {
    file: &'a str,
    text: &'a str,
    nesting: usize,
    operators: usize,
    branches: usize,
    policies: usize,
}

impl Scan<'_> {
    fn run(mut self) -> Result<(), Rejected> {
        let bytes = self.text.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'/' if bytes.get(at + 1) == Some(&b'/') => {
                    at += bytes[at..].iter().take_while(|byte| !matches!(byte, b'\n' | b'\r')).count();
                    continue;
                }
                b'"' => at = self.string(at)?,
                b'(' | b'[' | b'{' => self.deeper(at)?,
                b')' | b']' | b'}' => self.nesting = self.nesting.saturating_sub(1),
                b';' => self.end(at)?,
                b'&' | b'|' | b'+' | b'-' | b'*' | b'.' | b'!' | b'<' | b'>' | b'=' => self.operator(at)?,
                b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                    at = self.word(at)?;
                    continue;
                }
                0x80.. => {
                    return Err(self.refused(at, "has a letter outside of ASCII where a name or an operator would be"));
                }
                _ => {}
            }
            at += 1;
        }
        Ok(())
    }

    /// To the closing quote. What stands in it is an id, unless it is what a policy says to people.
    fn string(&self, from: usize) -> Result<usize, Rejected> {
        let bytes = self.text.as_bytes();
        let is_words =
            self.text[..from].trim_end().strip_suffix('(').is_some_and(|head| head.trim_end().ends_with("@says"));
        let mut at = from + 1;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'"' => return Ok(at),
                b'\\' => {
                    if !is_words && matches!(bytes.get(at + 1), Some(b'u' | b'x')) {
                        return Err(self.refused(at, "has a character in an id that is written by its number"));
                    }
                    at += 1;
                }
                0x80.. if !is_words => {
                    return Err(self
                        .refused(at, "has a letter outside of ASCII in an id: it may look like another")
                        .hint("ids of users are numbers, and all other ids are ASCII"));
                }
                _ => {}
            }
            at += 1;
        }
        Err(self.refused(from, "has a string that does not end"))
    }

    fn word(&mut self, from: usize) -> Result<usize, Rejected> {
        let rest = &self.text[from..];
        let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        match &rest[..length] {
            "if" => {
                self.branches += 1;
                if self.branches > MAX_POLICY_NESTING {
                    return Err(self.refused(from, format!("has more than {MAX_POLICY_NESTING} \"if\" in one policy")));
                }
            }
            "in" | "has" | "is" | "like" => self.operator(from)?,
            _ => {}
        }
        Ok(from + length.max(1))
    }

    fn deeper(&mut self, at: usize) -> Result<(), Rejected> {
        self.nesting += 1;
        if self.nesting > MAX_POLICY_NESTING {
            let reason = format!("has brackets within brackets, more than {MAX_POLICY_NESTING} deep");
            return Err(self.refused(at, reason).hint("write it as several policies"));
        }
        Ok(())
    }

    fn operator(&mut self, at: usize) -> Result<(), Rejected> {
        self.operators += 1;
        if self.operators > MAX_POLICY_OPERATORS {
            let reason = format!("has more than {MAX_POLICY_OPERATORS} operators in one policy");
            return Err(self.refused(at, reason).hint("write it as several policies"));
        }
        Ok(())
    }

    fn end(&mut self, at: usize) -> Result<(), Rejected> {
        (self.operators, self.branches) = (0, 0);
        self.policies += 1;
        if self.policies > MAX_POLICIES {
            return Err(self.refused(at, format!("has more than {MAX_POLICIES} policies")));
        }
        Ok(())
    }

    fn refused(&self, at: usize, reason: impl Into<String>) -> Rejected {
        Rejected::of(self.file, reason).at(self.text, at)
    }
}
