//! The steps of one run that are under way: the program and, beside it, a criterion that is tried on the base.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::runner::Step;

/// Which steps live, and whether each stands still.
#[derive(Debug, Default)]
pub(super) struct Living(Mutex<BTreeMap<Step, bool>>);

impl Living {
    fn with<T>(&self, change: impl FnOnce(&mut BTreeMap<Step, bool>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A step is under way until this is dropped. It stands still, as long as nothing of it was started.
    pub(super) fn enter(&self, step: Step) -> Alive<'_> {
        self.is_still(step, true);
        Alive { living: self, step }
    }

    /// Whether a step stands still now.
    pub(super) fn is_still(&self, step: Step, still: bool) {
        self.with(|steps| steps.insert(step, still));
    }

    /// Whether none goes on.
    pub(super) fn all_still(&self) -> bool {
        self.with(|steps| steps.values().all(|still| *still))
    }
}

/// A step that is under way.
pub(super) struct Alive<'a> {
    living: &'a Living,
    step: Step,
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.living.with(|steps| steps.remove(&self.step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_stands_still_when_all_of_its_living_steps_do() {
        let living = Living::default();
        assert!(living.all_still(), "nothing goes on");
        let (base, program) = (Step::Base(0), Step::Program(1));
        let (beside, _alive) = (living.enter(base), living.enter(program));
        assert!(living.all_still(), "nothing was started");
        living.is_still(base, false);
        living.is_still(program, false);
        living.is_still(base, true);
        assert!(!living.all_still(), "one of two");
        living.is_still(program, true);
        assert!(living.all_still());
        living.is_still(base, false);
        drop(beside);
        assert!(living.all_still(), "the one that goes on has ended");
    }
}
