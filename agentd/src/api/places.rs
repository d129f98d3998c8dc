//! Places for connections: so many for all, a share of them for each uid (or run), and some beside them for operators
//! alone, so that nobody shuts out the others by holding connections open.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

/// The places of one door, shared by who is told apart by a `Who`.
pub(super) struct Places<Who: Eq + Hash + Copy>(Arc<Door<Who>>);

struct Door<Who> {
    all: usize,
    share: usize,
    operators: usize,
    taken: Mutex<Taken<Who>>,
}

struct Taken<Who> {
    all: usize,
    operators: usize,
    of: HashMap<Who, usize>,
}

/// A place that is taken until it is dropped.
pub(super) struct Place<Who: Eq + Hash + Copy> {
    door: Places<Who>,
    /// Whose it is; `None` is one of those for operators alone.
    who: Option<Who>,
}

impl<Who: Eq + Hash + Copy> Clone for Places<Who> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Who: Eq + Hash + Copy> Places<Who> {
    /// A door with `all` places, of which each may take `share`, and `operators` more for operators alone.
    pub(super) fn new(all: usize, share: usize, operators: usize) -> Self {
        let taken = Taken { all: 0, operators: 0, of: HashMap::new() };
        Self(Arc::new(Door { all, share, operators, taken: Mutex::new(taken) }))
    }

    /// Takes a place for a connection. Operators have no share to keep to.
    pub(super) fn take(&self, who: Who, operator: bool) -> Option<Place<Who>> {
        let door = &*self.0;
        self.with(|taken| {
            let own = taken.of.get(&who).copied().unwrap_or(0);
            if taken.all < door.all && (operator || own < door.share) {
                taken.all += 1;
                taken.of.insert(who, own + 1);
                return Some(Place { door: self.clone(), who: Some(who) });
            }
            if operator && taken.operators < door.operators {
                taken.operators += 1;
                return Some(Place { door: self.clone(), who: None });
            }
            None
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Taken<Who>) -> T) -> T {
        change(&mut self.0.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl<Who: Eq + Hash + Copy> Drop for Place<Who> {
    fn drop(&mut self) {
        self.door.with(|taken| {
            let Some(who) = self.who else {
                taken.operators -= 1;
                return;
            };
            taken.all -= 1;
            if let Some(own) = taken.of.get_mut(&who) {
                *own -= 1;
                if *own == 0 {
                    taken.of.remove(&who);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(places: &Places<u32>, uid: u32, operator: bool) -> Vec<Place<u32>> {
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
