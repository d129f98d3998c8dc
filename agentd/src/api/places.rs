//! Places for connections: so many for all, a share of them for each uid, and some beside them for operators alone, so
//! that nobody shuts out the others by holding connections open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The places of one door.
#[derive(Clone)]
pub(super) struct Places(Arc<Door>);

struct Door {
    all: usize,
    share: usize,
    operators: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    operators: usize,
    of: HashMap<u32, usize>,
}

/// A place that is taken until it is dropped.
pub(super) struct Place {
    door: Places,
    /// Whose it is; `None` is one of those for operators alone.
    uid: Option<u32>,
}

impl Places {
    /// A door with `all` places, of which one uid may take `share`, and `operators` more for operators alone.
    pub(super) fn new(all: usize, share: usize, operators: usize) -> Self {
        Self(Arc::new(Door { all, share, operators, taken: Mutex::default() }))
    }

    /// Takes a place for a connection of `uid`. Operators have no share to keep to.
    pub(super) fn take(&self, uid: u32, operator: bool) -> Option<Place> {
        let door = &*self.0;
        self.with(|taken| {
            let own = taken.of.get(&uid).copied().unwrap_or(0);
            if taken.all < door.all && (operator || own < door.share) {
                taken.all += 1;
                taken.of.insert(uid, own + 1);
                return Some(Place { door: self.clone(), uid: Some(uid) });
            }
            if operator && taken.operators < door.operators {
                taken.operators += 1;
                return Some(Place { door: self.clone(), uid: None });
            }
            None
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Taken) -> T) -> T {
        change(&mut self.0.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.with(|taken| {
            let Some(uid) = self.uid else {
                taken.operators -= 1;
                return;
            };
            taken.all -= 1;
            if let Some(own) = taken.of.get_mut(&uid) {
                *own -= 1;
                if *own == 0 {
                    taken.of.remove(&uid);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(places: &Places, uid: u32, operator: bool) -> Vec<Place> {
        std::iter::from_fn(|| places.take(uid, operator)).collect()
    }

    #[test]
    fn nobody_takes_more_than_a_share_and_an_operator_always_gets_in() {
        let places = Places::new(10, 4, 2);
        let (one, two, three) = (all(&places, 1000, false), all(&places, 1001, false), all(&places, 1002, false));
        assert_eq!((one.len(), two.len(), three.len()), (4, 4, 2));
        assert_eq!(all(&places, 0, true).len(), 2);
        let kept = places.take(0, true);
        drop((one, kept));
        assert_eq!(all(&places, 1001, false).len(), 0);
        assert_eq!(all(&places, 0, true).len(), 6);
        drop((two, three));
        assert_eq!(all(&places, 1001, false).len(), 4);
    }
}
