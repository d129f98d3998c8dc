//! How soon the timers look again.

/// Longest pause between two looks: the clocks are compared at each.
pub(super) const LONGEST_MS: u64 = 1_000;

/// Rounds in which things were due and nothing came of them follow each other ever more slowly: a full disk, or whatever
/// else keeps refusing, is asked again once a second in the end.
#[derive(Debug, Default)]
pub(super) struct Pace {
    fruitless: u32,
}

impl Pace {
    /// Milliseconds to the next look. `due`: something was due; `changed`: something came of it; `next_ms`: until the
    /// next thing that is not due yet.
    pub(super) fn pause(&mut self, due: bool, changed: bool, next_ms: u64) -> u64 {
        if changed {
            self.fruitless = 0;
            return 1;
        }
        let next_ms = next_ms.clamp(1, LONGEST_MS);
        if !due {
            self.fruitless = 0;
            return next_ms;
        }
        let pause = 1 << self.fruitless;
        self.fruitless = (self.fruitless + 1).min(LONGEST_MS.ilog2() + 1);
        next_ms.min(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_due_and_refused_is_asked_ever_more_slowly() {
        let mut pace = Pace::default();
        let pauses: Vec<u64> = (0..13).map(|_| pace.pause(true, false, u64::MAX)).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000, 1000]);
        assert_eq!(pace.pause(true, false, 20), 20, "another thing is due before");
        assert_eq!(pace.pause(true, true, u64::MAX), 1);
        assert_eq!(pace.pause(true, false, u64::MAX), 1, "something came of it: it begins anew");
        assert_eq!(pace.pause(true, false, u64::MAX), 2);
        assert_eq!(pace.pause(false, false, u64::MAX), LONGEST_MS);
        assert_eq!(pace.pause(true, false, u64::MAX), 1);
    }

    #[test]
    fn nothing_due_waits_for_the_next_thing() {
        let mut pace = Pace::default();
        for (next_ms, pause) in [(0, 1), (1, 1), (700, 700), (5_000, LONGEST_MS)] {
            assert_eq!(pace.pause(false, false, next_ms), pause);
        }
    }
}
