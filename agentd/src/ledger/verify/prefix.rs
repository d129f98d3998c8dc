//! The members that stand first in every event, read without parsing the rest.

use agentd_schemas::event::Event;

/// Index, subject, version and type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix<'a> {
    /// `index`.
    pub(super) index: u64,
    /// Kind and id of the subject with what stands between them: equal for equal subjects.
    pub(super) subject: &'a [u8],
    /// `version`.
    pub(super) version: u64,
    /// `type`.
    pub(super) kind: &'a [u8],
}

/// Reads the members as an event writes them. The whole body is parsed where they are written otherwise; what is no
/// event then gives the reason.
pub(super) fn read(body: &[u8]) -> Result<Prefix<'_>, String> {
    match fast(body) {
        Some(prefix) => Ok(prefix),
        None => Err(match Event::from_bytes(body) {
            Ok(_) => "its members are not in the order in which agentd writes them".to_owned(),
            Err(error) => error.to_string(),
        }),
    }
}

fn fast(body: &[u8]) -> Option<Prefix<'_>> {
    let rest = body.strip_prefix(b"{\"v\":1,\"index\":")?;
    let (index, rest) = number(rest)?;
    let rest = rest.strip_prefix(b",\"subject\":\"")?;
    let (kind, after) = text(rest)?;
    let (id, after) = text(after.strip_prefix(b",\"id\":\"")?)?;
    let subject = &rest[..kind.len() + id.len() + b"\",\"id\":\"".len()];
    let (version, after) = number(after.strip_prefix(b",\"version\":")?)?;
    let (kind, _) = text(after.strip_prefix(b",\"type\":\"")?)?;
    Some(Prefix { index, subject, version, kind })
}

/// A decimal number and what follows it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take(20).take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = bytes.split_at(digits);
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

/// A string without escapes up to its closing quote, and what follows that.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    (bytes[end] == b'"').then(|| (&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_members_are_read() {
        let body = br#"{"v":1,"index":12,"subject":"work","id":"w-a","version":3,"type":"NoteAdded","time":"#;
        let prefix = read(body).unwrap();
        let expected = Prefix { index: 12, subject: br#"work","id":"w-a"#, version: 3, kind: b"NoteAdded" };
        assert_eq!(prefix, expected);
    }

    #[test]
    fn what_is_no_event_gives_a_reason() {
        let bodies: [&[u8]; 6] = [
            b"",
            b"{\"v\":1,\"index\":",
            b"{\"v\":1,\"index\":x,\"subject\":\"host\"",
            b"{\"v\":2,\"index\":1,\"subject\":\"host\",\"id\":\"host\",\"version\":1,\"type\":\"T\"",
            b"{\"v\":1,\"index\":99999999999999999999,\"subject\":\"host\",\"id\":\"h\",\"version\":1,\"type\":\"T\"",
            b"{\"v\":1,\"index\":1,\"subject\":\"host\",\"id\":\"h\\\"\",\"version\":1,\"type\":\"T\"",
        ];
        for body in bodies {
            assert!(read(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }
}
