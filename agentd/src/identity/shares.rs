//! Secrets that were given out, with a share for each uid: who asks for many loses its own oldest, and nobody else's.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Values by secret, bounded for each uid and in all.
#[derive(Debug)]
pub(super) struct Shares<K, V> {
    of_one: usize,
    of_all: usize,
    open: HashMap<K, (u32, V)>,
    /// The secrets of each uid, the oldest first.
    order: HashMap<u32, VecDeque<K>>,
}

impl<K: Clone + Eq + Hash, V> Shares<K, V> {
    pub(super) fn new(of_one: usize, of_all: usize) -> Self {
        Self { of_one, of_all, open: HashMap::new(), order: HashMap::new() }
    }

    /// Keeps a value for a uid. Where its share is full, its oldest gives way; where all is full, the oldest of the uid
    /// that has most.
    pub(super) fn insert(&mut self, uid: u32, key: K, value: V) {
        if self.order.get(&uid).map_or(0, VecDeque::len) >= self.of_one {
            self.drop_oldest(uid);
        }
        if self.open.len() >= self.of_all
            && let Some(most) = self.order.iter().max_by_key(|(_, keys)| keys.len()).map(|(uid, _)| *uid)
        {
            self.drop_oldest(most);
        }
        self.order.entry(uid).or_default().push_back(key.clone());
        self.open.insert(key, (uid, value));
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.open.get(key).map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (uid, value) = self.open.remove(key)?;
        self.forget(uid, |other| other != key);
        Some(value)
    }

    fn drop_oldest(&mut self, uid: u32) {
        if let Some(oldest) = self.order.get_mut(&uid).and_then(VecDeque::pop_front) {
            self.open.remove(&oldest);
        }
        self.forget(uid, |_| true);
    }

    /// Leaves no uid without secrets behind.
    fn forget(&mut self, uid: u32, wanted: impl Fn(&K) -> bool) {
        if let Some(keys) = self.order.get_mut(&uid) {
            keys.retain(wanted);
            if keys.is_empty() {
                self.order.remove(&uid);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.open.len(), self.order.values().map(VecDeque::len).sum::<usize>());
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Shares;

    #[test]
    fn a_flood_takes_from_who_floods() {
        let mut shares = Shares::new(3, 5);
        shares.insert(1, "mine", ());
        for flood in ["a", "b", "c", "d", "e"] {
            shares.insert(2, flood, ());
        }
        assert_eq!((shares.len(), shares.get(&"mine")), (4, Some(&())));
        assert!(shares.get(&"b").is_none() && shares.get(&"c").is_some());
        shares.insert(3, "x", ());
        shares.insert(4, "y", ());
        assert!(shares.get(&"c").is_none(), "all is full: who has most gives way");
        assert_eq!((shares.len(), shares.get(&"mine")), (5, Some(&())));
        assert_eq!((shares.remove(&"mine"), shares.remove(&"mine")), (Some(()), None));
        assert_eq!(shares.len(), 4);
    }
}
