//! Bounds of one document.

/// Bounds that hold for one document before any of it becomes a value.
///
/// Callers narrow single bounds with struct update: `Limits { max_bytes: 4096, ..Limits::DEFAULT }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of the whole document in bytes.
    pub max_bytes: usize,
    /// Objects and arrays inside each other; `{}` has depth 1. Values above 127 have no effect on JSON, and above 80
    /// none on TOML: the parsers below stop there themselves.
    pub max_depth: usize,
    /// Keys of one object.
    pub max_keys: usize,
    /// Values in the whole document, which bounds memory where a value of two bytes becomes one of thirty-two.
    pub max_values: usize,
}

impl Limits {
    /// 8 MiB, 32 levels, 4,096 keys in one object, 1,000,000 values.
    pub const DEFAULT: Self = Self { max_bytes: 8 * 1024 * 1024, max_depth: 32, max_keys: 4096, max_values: 1_000_000 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
