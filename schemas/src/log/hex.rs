//! The shape that hashes, commitments and salts share: 32 bytes, written as 64 lower-case hex digits.

use data_encoding::HEXLOWER;

/// Text that is not 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 lower-case hex digits for 32 bytes, got {len} characters that are not that")]
pub struct HexError {
    /// Length of the refused text in bytes.
    pub len: usize,
}

/// Reads 64 lower-case hex digits.
pub(super) fn decode(text: &str) -> Result<[u8; 32], HexError> {
    let refused = HexError { len: text.len() };
    if text.len() != 64 {
        return Err(refused);
    }
    let mut bytes = [0; 32];
    match HEXLOWER.decode_mut(text.as_bytes(), &mut bytes) {
        Ok(32) => Ok(bytes),
        _ => Err(refused),
    }
}

/// Defines a newtype over `[u8; 32]` whose text and JSON form is lower-case hex.
macro_rules! hex_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut text = [0; 64];
                data_encoding::HEXLOWER.encode_mut(&self.0, &mut text);
                f.write_str(std::str::from_utf8(&text).unwrap_or_default())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::log::hex::HexError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::log::hex::decode(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(super) use hex_bytes;
