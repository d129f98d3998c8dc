//! Settings that may change while the daemon runs: who decides takes what counts at that moment, and keeps it for as long as
//! it decides.

use std::sync::{Arc, PoisonError, RwLock};

/// A value that is exchanged as a whole.
#[derive(Debug, Default)]
pub struct Current<T>(RwLock<Arc<T>>);

impl<T> Current<T> {
    /// Begins with this one.
    pub fn new(first: Arc<T>) -> Self {
        Self(RwLock::new(first))
    }

    /// What counts now.
    pub fn get(&self) -> Arc<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something else counts from now on.
    pub fn set(&self, next: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }
}
