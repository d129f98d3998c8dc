//! The text armor of OpenSSH: base64 between a BEGIN and an END line.
//!
//! Written as ssh-keygen writes it, in lines of 70. Read with any line width, because other tools wrap at 64 or 76 and
//! ssh-keygen takes those too; everything else is strict, so that no text before, after or between goes unread.

use data_encoding::BASE64;
use zeroize::Zeroizing;

const LINE_WIDTH: usize = 70;

/// Why an armored text was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArmorError {
    /// Longer than any honest text of its kind.
    #[error("the text is longer than {limit} bytes")]
    TooLong {
        /// Most bytes that are read.
        limit: usize,
    },
    /// Another kind of text, or none at all.
    #[error("the text does not begin with the line `-----BEGIN {label}-----`")]
    Begin {
        /// The kind that was expected.
        label: &'static str,
    },
    /// Cut short, or followed by more.
    #[error("the text does not end with the line `-----END {label}-----`")]
    End {
        /// The kind that was expected.
        label: &'static str,
    },
    /// The body is not canonical, padded base64.
    #[error("the text between the BEGIN and END lines is not valid base64")]
    Base64,
}

/// Armors `blob`; the text ends with a newline.
pub(super) fn encode(label: &'static str, blob: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(BASE64.encode(blob));
    // Sized once: growing would leave copies of a private key behind.
    let mut text = Zeroizing::new(String::with_capacity(body.len() + body.len() / LINE_WIDTH + 128));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for (index, character) in body.chars().enumerate() {
        if index > 0 && index % LINE_WIDTH == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str("\n-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// Reads the blob from an armored text of at most `limit` bytes.
pub(super) fn decode(label: &'static str, text: &str, limit: usize) -> Result<Zeroizing<Vec<u8>>, ArmorError> {
    if text.len() > limit {
        return Err(ArmorError::TooLong { limit });
    }
    let body = text
        .trim_ascii()
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.strip_prefix(label))
        .and_then(|rest| rest.strip_prefix("-----"))
        .filter(|rest| rest.starts_with(['\n', '\r']))
        .ok_or(ArmorError::Begin { label })?;
    let body = body
        .strip_suffix("-----")
        .and_then(|rest| rest.strip_suffix(label))
        .and_then(|rest| rest.strip_suffix("\n-----END "))
        .ok_or(ArmorError::End { label })?;
    let mut joined = Zeroizing::new(Vec::with_capacity(body.len()));
    joined.extend(body.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')));
    BASE64.decode(&joined).map(Zeroizing::new).map_err(|_| ArmorError::Base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &str = "SSH SIGNATURE";

    fn read(text: &str) -> Result<Vec<u8>, ArmorError> {
        decode(LABEL, text, 4096).map(|blob| blob.to_vec())
    }

    #[test]
    fn every_length_survives_the_armor() {
        for length in 0..300 {
            let blob = vec![0xa5; length];
            let text = encode(LABEL, &blob);
            assert!(text.lines().all(|line| line.len() <= LINE_WIDTH), "{length}");
            assert_eq!(read(&text), Ok(blob), "{length}");
        }
    }

    #[test]
    fn other_line_widths_and_line_ends_are_read() {
        for text in [
            "-----BEGIN SSH SIGNATURE-----\nYWdlbnRk\n-----END SSH SIGNATURE-----",
            "-----BEGIN SSH SIGNATURE-----\nYW\ndlbn\nRk\n-----END SSH SIGNATURE-----\n",
            "\n-----BEGIN SSH SIGNATURE-----\r\nYWdlbnRk\r\n-----END SSH SIGNATURE-----\r\n",
        ] {
            assert_eq!(read(text), Ok(b"agentd".to_vec()), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_exactly_one_armored_text_is_refused() {
        let begin = ArmorError::Begin { label: LABEL };
        let end = ArmorError::End { label: LABEL };
        for (text, error) in [
            ("", begin),
            ("YWdlbnRk", begin),
            ("hello\n-----BEGIN SSH SIGNATURE-----\nYWdlbnRk\n-----END SSH SIGNATURE-----\n", begin),
            ("-----BEGIN SSH SIGNATUREX-----\nYWdlbnRk\n-----END SSH SIGNATUREX-----\n", begin),
            ("-----BEGIN SSH SIGNATURE-----YWdlbnRk\n-----END SSH SIGNATURE-----\n", begin),
            ("-----BEGIN SSH SIGNATURE-----\nYWdlbnRk\n", end),
            ("-----BEGIN SSH SIGNATURE-----\nYWdlbnRk\n-----END SSH SIGNATURE-----\nmore\n", end),
            ("-----BEGIN SSH SIGNATURE-----\nYWdlbnRk-----END SSH SIGNATURE-----\n", end),
            ("-----BEGIN SSH SIGNATURE-----\nYWdl bnRk\n-----END SSH SIGNATURE-----\n", ArmorError::Base64),
            ("-----BEGIN SSH SIGNATURE-----\nYWdlbnQ\n-----END SSH SIGNATURE-----\n", ArmorError::Base64),
            ("-----BEGIN SSH SIGNATURE-----\nYWdlbnR=\n-----END SSH SIGNATURE-----\n", ArmorError::Base64),
        ] {
            assert_eq!(read(text), Err(error), "{text:?}");
        }
        assert_eq!(read(&"-".repeat(4097)), Err(ArmorError::TooLong { limit: 4096 }));
    }
}
