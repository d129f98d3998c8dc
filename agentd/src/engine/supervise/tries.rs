//! When the host is tried again, while works wait for what it cannot do.

/// While the host is too weak for a run that waits, it is tried again: so long after the first try, then at twice the
/// distance, and at most so far apart. What was installed is noticed without a restart.
const AGAIN_MS: (u64, u64) = (1_000, 60_000);

/// When the host is tried again.
pub(super) struct Tries {
    next: u64,
    pause: u64,
}

impl Tries {
    /// It was tried just now.
    pub(super) fn new(now: u64) -> Self {
        Self { next: now + AGAIN_MS.0, pause: AGAIN_MS.0 }
    }

    /// Whether it is time for one more, where one is needed.
    pub(super) fn is_due(&mut self, needed: bool, now: u64) -> bool {
        if !needed {
            *self = Self::new(now);
            return false;
        }
        if now < self.next {
            return false;
        }
        self.pause = (self.pause * 2).min(AGAIN_MS.1);
        self.next = now + self.pause;
        true
    }

    /// How long until then.
    pub(super) fn in_ms(&self, now: u64) -> u64 {
        self.next.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_has_the_host_tried_again_at_twice_the_distance_and_who_does_not_has_not() {
        let mut tries = Tries::new(0);
        let due: Vec<u64> = (0..200).map(|second| second * 1000).filter(|now| tries.is_due(true, *now)).collect();
        assert_eq!(due, [1_000, 3_000, 7_000, 15_000, 31_000, 63_000, 123_000, 183_000]);
        assert!(!tries.is_due(false, 200_000), "nobody waits");
        assert_eq!(tries.in_ms(200_000), 1_000, "and who waits next is not kept");
    }
}
