//! Ends of systemd's jobs: one task hears of all of them, and hands each to who waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use zbus::OwnedObjectPath;

/// Ends of jobs of one unit that are kept for who waits: one is its own, and others are of who has to do with it too.
const MAX_ENDS: usize = 8;

/// How a job ended: its path and its result.
pub(super) type End = (OwnedObjectPath, String);

/// Who waits for a job, by the unit; `None` once the bus is gone.
type Waits = Option<HashMap<String, mpsc::Sender<End>>>;

/// The list of those who wait.
#[derive(Clone)]
pub(super) struct Jobs(Arc<Mutex<Waits>>);

impl Default for Jobs {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(HashMap::new()))))
    }
}

impl Jobs {
    fn waiting(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether ends are still heard of.
    pub(super) fn are_heard(&self) -> bool {
        self.waiting().is_some()
    }

    /// Waits for a job of a unit, from before it is asked for: it may be over before its path is known. `None` where
    /// somebody waits for that unit already, or the bus is gone.
    pub(super) fn wait(&self, unit: &str) -> Option<Waiting> {
        let (sender, ends) = mpsc::channel(MAX_ENDS);
        let mut waiting = self.waiting();
        let waiting = waiting.as_mut()?;
        if waiting.contains_key(unit) {
            return None;
        }
        waiting.insert(unit.to_owned(), sender);
        Some(Waiting { jobs: self.clone(), unit: unit.to_owned(), ends })
    }

    /// Hands on how a job of a unit ended.
    pub(super) fn ended(&self, unit: &str, end: End) {
        if let Some(waits) = self.waiting().as_ref().and_then(|waiting| waiting.get(unit)) {
            // Who has that many of one unit does not hear of more, and looks at the unit after a while.
            let _ = waits.try_send(end);
        }
    }

    /// The bus is gone: nobody hears of anything any more.
    pub(super) fn gone(&self) {
        *self.waiting() = None;
    }
}

/// The place of who waits.
pub(super) struct Waiting {
    jobs: Jobs,
    unit: String,
    ends: mpsc::Receiver<End>,
}

impl Waiting {
    /// How this job ended; `None` where the bus went away before it did.
    pub(super) async fn result(&mut self, job: &OwnedObjectPath) -> Option<String> {
        while let Some((ended, result)) = self.ends.recv().await {
            if ended == *job {
                return Some(result);
            }
        }
        None
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(waiting) = self.jobs.waiting().as_mut() {
            waiting.remove(&self.unit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(number: u32) -> OwnedObjectPath {
        format!("/org/freedesktop/systemd1/job/{number}").try_into().unwrap()
    }

    #[tokio::test]
    async fn who_waits_hears_of_its_own_job_even_when_it_was_over_before_its_path_was_known() {
        let jobs = Jobs::default();
        let mut one = jobs.wait("one.service").unwrap();
        let mut two = jobs.wait("two.service").unwrap();
        assert!(jobs.wait("one.service").is_none(), "one at a time");
        jobs.ended("other.service", (path(9), "done".to_owned()));
        jobs.ended("one.service", (path(1), "canceled".to_owned()));
        jobs.ended("one.service", (path(2), "done".to_owned()));
        jobs.ended("two.service", (path(3), "failed".to_owned()));
        assert_eq!(one.result(&path(2)).await.as_deref(), Some("done"));
        assert_eq!(two.result(&path(3)).await.as_deref(), Some("failed"));
        drop(one);
        assert!(jobs.wait("one.service").is_some(), "its place is free again");
    }

    #[tokio::test]
    async fn ends_that_nobody_takes_are_bounded_and_a_bus_that_goes_is_told() {
        let jobs = Jobs::default();
        let mut waits = jobs.wait("one.service").unwrap();
        for number in 0..1000 {
            jobs.ended("one.service", (path(number), "done".to_owned()));
        }
        assert!(waits.ends.len() <= MAX_ENDS);
        jobs.gone();
        assert!(!jobs.are_heard() && jobs.wait("two.service").is_none());
        assert_eq!(waits.result(&path(5000)).await, None);
    }
}
