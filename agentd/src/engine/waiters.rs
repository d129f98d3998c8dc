//! Agents that wait for work. A new ready work wakes one agent that could take it; an agent that was woken and got
//! nothing passes the wake on, so that no work lies unseen while somebody able waits.

use std::collections::VecDeque;
use std::sync::Mutex;

use agentd_schemas::event::{Event, EventData, Subject, WorkState};
use agentd_schemas::unit::name::{Skill, Slug};
use tokio::sync::oneshot;

/// Agents that wait at a time, at most.
pub(super) const MAX_WAITERS: usize = 4096;

/// Who waits, as far as a new work can be matched without the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Waiter {
    /// The agent.
    pub agent: Slug,
    /// Its owner.
    pub owner: u32,
    /// Takes works of every owner.
    pub shared: bool,
    /// What it claims, sorted.
    pub skills: Vec<Skill>,
}

/// A wake, with what it is for.
#[derive(Debug, Clone)]
pub(crate) struct Wake {
    /// What the work asks for; `None` when only the ledger knows.
    demand: Option<(u32, Option<Slug>, Vec<Skill>)>,
    /// How often it may still be passed on.
    left: usize,
}

struct Place {
    waiter: Waiter,
    wake: oneshot::Sender<Wake>,
}

/// A place in the queue, as who waits holds it. Who leaves, for whatever reason, passes on a wake that came meanwhile:
/// the work that it is for would lie unseen.
pub(crate) struct Waiting<'a> {
    waiters: &'a Waiters,
    wake: oneshot::Receiver<Wake>,
}

impl Waiting<'_> {
    /// Waits for a wake; an error when the queue is gone.
    pub(crate) async fn woken(&mut self) -> Result<Wake, oneshot::error::RecvError> {
        (&mut self.wake).await
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.wake.close();
        if let Ok(wake) = self.wake.try_recv() {
            self.waiters.pass_on(wake);
        }
    }
}

/// The queue of those who wait, longest first.
#[derive(Default)]
pub(crate) struct Waiters {
    places: Mutex<VecDeque<Place>>,
}

impl Waiters {
    fn with<T>(&self, change: impl FnOnce(&mut VecDeque<Place>) -> T) -> T {
        let mut places = self.places.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut places)
    }

    /// Takes a place in the queue. Ask the ledger after this, not before, so that no wake is missed. `None` when too
    /// many wait.
    pub(crate) fn register(&self, waiter: Waiter) -> Option<Waiting<'_>> {
        let (wake, woken) = oneshot::channel();
        self.with(|places| {
            places.retain(|place| !place.wake.is_closed());
            if places.len() >= MAX_WAITERS {
                return None;
            }
            places.push_back(Place { waiter, wake });
            Some(Waiting { waiters: self, wake: woken })
        })
    }

    /// Passes a wake on, when who was woken got nothing.
    pub(crate) fn pass_on(&self, wake: Wake) {
        if wake.left > 0 {
            self.wake_one(Wake { left: wake.left - 1, ..wake });
        }
    }

    fn wake_one(&self, wake: Wake) {
        self.with(|places| {
            let mut wake = wake;
            while let Some(at) = places.iter().position(|place| fits(&place.waiter, wake.demand.as_ref())) {
                let Some(place) = places.remove(at) else { return };
                match place.wake.send(wake) {
                    Ok(()) => return,
                    Err(unsent) => wake = unsent,
                }
            }
        });
    }

    /// Wakes everybody.
    pub(crate) fn wake_all(&self) {
        self.with(|places| {
            for place in places.drain(..) {
                let _ = place.wake.send(Wake { demand: None, left: 0 });
            }
        });
    }

    fn wake_agent(&self, name: &Slug) {
        self.with(|places| {
            let (woken, rest): (VecDeque<Place>, VecDeque<Place>) =
                places.drain(..).partition(|place| place.waiter.agent == *name);
            *places = rest;
            for place in woken {
                let _ = place.wake.send(Wake { demand: None, left: 0 });
            }
        });
    }

    /// Follows the log.
    pub(crate) fn observe(&self, event: &Event) {
        match (&event.data, &event.envelope.subject) {
            (EventData::WorkSubmitted(spec), _) if spec.state == WorkState::Ready => {
                let demand = Some((spec.owner, spec.agent.clone(), spec.required_skills.clone()));
                self.wake_one(Wake { demand, left: MAX_WAITERS });
            }
            (EventData::WorkReadied(_) | EventData::LeaseVoided(_) | EventData::WorkRetried(_), _) => {
                self.wake_one(Wake { demand: None, left: MAX_WAITERS });
            }
            (EventData::Thawed(_) | EventData::AccountLimitSet(_), _) => self.wake_all(),
            (
                EventData::AgentResumed(_)
                | EventData::AgentActivated(_)
                | EventData::ProbationStarted(_)
                | EventData::SkillsDeclared(_)
                | EventData::KeyRotated(_)
                | EventData::KeyRevoked(_)
                | EventData::AgentSuspended(_)
                | EventData::AgentRetired(_),
                Subject::Agent(name),
            ) => self.wake_agent(name),
            _ => {}
        }
    }
}

fn fits(waiter: &Waiter, demand: Option<&(u32, Option<Slug>, Vec<Skill>)>) -> bool {
    let Some((owner, agent, skills)) = demand else { return true };
    (waiter.shared || waiter.owner == *owner)
        && agent.as_ref().is_none_or(|agent| *agent == waiter.agent)
        && skills.iter().all(|skill| waiter.skills.binary_search(skill).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(name: &str) -> Waiter {
        Waiter { agent: name.parse().unwrap(), owner: 1000, shared: false, skills: Vec::new() }
    }

    fn wake() -> Wake {
        Wake { demand: Some((1000, None, Vec::new())), left: MAX_WAITERS }
    }

    #[tokio::test]
    async fn a_wake_goes_to_who_waits_longest() {
        let waiters = Waiters::default();
        let (first, second) = (waiters.register(waiter("a")), waiters.register(waiter("b")));
        waiters.wake_one(wake());
        assert!(first.unwrap().woken().await.is_ok());
        assert!(second.unwrap().wake.try_recv().is_err());
    }

    #[tokio::test]
    async fn who_leaves_with_a_wake_passes_it_on() {
        let waiters = Waiters::default();
        let (first, second) = (waiters.register(waiter("a")), waiters.register(waiter("b")));
        waiters.wake_one(wake());
        drop(first);
        assert!(second.unwrap().woken().await.is_ok());
    }

    #[tokio::test]
    async fn who_left_before_the_wake_is_passed_over() {
        let waiters = Waiters::default();
        let (first, second) = (waiters.register(waiter("a")), waiters.register(waiter("b")));
        drop(first);
        waiters.wake_one(wake());
        assert!(second.unwrap().woken().await.is_ok());
    }
}
