//! Strict readers of documents: JSON, TOML and JSON Lines, refused where a lenient reader would choose a meaning.
//!
//! What two readers could understand differently is an error here: duplicate keys, unknown fields, lone surrogates,
//! numbers that no `f64` holds, trailing content, keys that serde libraries give a private meaning. Everything is
//! bounded before memory is spent on it. The room holds no document types; a type that is to refuse unknown fields
//! says `#[serde(deny_unknown_fields)]` itself.
//!
//! Invariant: a reader never panics and never uses stack in proportion to its input; every refusal is a
//! [`DocumentError`] that names the thing, the place and, where there is one, the way out.

mod error;
mod explain;
pub mod json;
pub mod jsonl;
mod limits;
mod nearest;
mod number;
mod quote;
mod scan;
pub mod toml;

pub use error::{DocumentError, ErrorKind};
pub use limits::Limits;
pub use nearest::nearest;
pub(crate) use quote::quoted;
