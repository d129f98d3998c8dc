//! Strict readers of documents.
