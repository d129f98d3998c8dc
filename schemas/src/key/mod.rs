//! Key, signature and statement formats.
