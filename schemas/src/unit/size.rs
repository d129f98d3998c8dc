//! Sizes as systemd writes them: `512M`, `4G` ([systemd.resource-control(5)]): K, M, G and T are powers of 1024.
//!
//! [systemd.resource-control(5)]: https://www.freedesktop.org/software/systemd/man/latest/systemd.resource-control.html

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{shown, split_digits};

/// Units, largest first, with what they are of one byte.
const UNITS: [(u64, &str); 4] = [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];

/// A number of bytes, at most 1024 T. Serde: text, as `"4G"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(u64);

/// Why a size was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SizeError {
    /// Above the bound.
    #[error("{} is more than 1024T; write less", shown(text))]
    TooLarge {
        /// The size as written.
        text: String,
    },
    /// Nothing that a size looks like.
    #[error("{} is not a size; write a whole number and K, M, G or T, as in \"512M\"", shown(text))]
    Form {
        /// The size as written.
        text: String,
    },
}

impl Size {
    /// 1024 T.
    pub const MAX: Self = Self(1 << 50);

    /// A number of bytes, refused above [`Size::MAX`].
    pub fn from_bytes(bytes: u64) -> Result<Self, SizeError> {
        if bytes <= Self::MAX.0 { Ok(Self(bytes)) } else { Err(SizeError::TooLarge { text: bytes.to_string() }) }
    }

    /// The bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let form = || SizeError::Form { text: text.to_owned() };
        let (digits, unit) = split_digits(text);
        let factor = match unit {
            "" => 1,
            unit => UNITS.iter().find(|(_, name)| *name == unit).map(|(factor, _)| *factor).ok_or_else(form)?,
        };
        if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
            return Err(form());
        }
        let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        bytes
            .filter(|bytes| *bytes <= Self::MAX.0)
            .map(Self)
            .ok_or_else(|| SizeError::TooLarge { text: text.to_owned() })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(factor, _)| self.0 > 0 && self.0.is_multiple_of(*factor)) {
            Some((factor, name)) => write!(f, "{}{name}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

impl TryFrom<String> for Size {
    type Error = SizeError;

    fn try_from(text: String) -> Result<Self, SizeError> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back_as_itself() {
        for bytes in [0, 1, 1023, 1024, 1025, 512 << 20, 4 << 30, 1 << 50] {
            let size = Size::from_bytes(bytes).unwrap();
            assert_eq!(size.to_string().parse::<Size>().unwrap(), size, "{size}");
        }
        assert_eq!("4G".parse::<Size>().unwrap().as_bytes(), 4 << 30);
        assert_eq!(Size::from_bytes(1536 << 10).unwrap().to_string(), "1536K");
    }

    #[test]
    fn what_could_be_read_otherwise_is_refused() {
        for text in ["", "G", "4g", "4GB", "4 G", "-1", "1.5G", "04K", "infinity"] {
            assert!(matches!(text.parse::<Size>(), Err(SizeError::Form { .. })), "{text}");
        }
        for text in ["1025T", "99999999999999999999", "18446744073709551615K"] {
            assert!(matches!(text.parse::<Size>(), Err(SizeError::TooLarge { .. })), "{text}");
        }
    }
}
