//! Telling a jump of the wall clock, and a sleep of the machine, from the ordinary passing of time.
//!
//! Pure: it is fed with readings and reads no clock itself. The readings must be of one boot.

use super::Moment;

/// The wall clock may move this far against boot time before it is an incident: one hour.
pub const WALL_JUMP_LIMIT_MS: u64 = 60 * 60 * 1000;
/// A machine that slept longer than this is reported.
const SUSPEND_LIMIT_MS: u64 = 1000;
/// The anchor is renewed at most this often, so that many small steps cannot pass for drift.
const ANCHOR_AGE_MS: u64 = 60 * 1000;
/// What two readings may differ by though nothing happened.
const READING_NOISE_MS: u64 = 20;
/// Drift of one part in this many is honest: 500 ppm, as fast as the kernel ever slews its clock.
const DRIFT_DIVISOR: u64 = 2000;

/// What happened to time between two observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discontinuity {
    /// The wall clock was set.
    WallJump {
        /// Milliseconds, positive when it was set forward.
        by_ms: i64,
    },
    /// The machine slept.
    Suspended {
        /// Milliseconds asleep.
        by_ms: u64,
    },
}

/// Watches the distance between wall and boot time.
///
/// The distance is held against an **anchor**. Whatever a drifting or slewed clock can explain (500 ppm since the
/// anchor) becomes the new anchor, so drift never adds up; a step that it cannot explain stays measured against the old
/// one, so several steps below the limit do add up until, at 500 ppm, they are old enough to be forgotten. A jump is
/// reported once and then becomes the anchor: a jump back is a second jump.
#[derive(Debug, Clone)]
pub struct JumpDetector {
    limit_ms: u64,
    anchor: Moment,
    suspended_ms: u64,
}

impl JumpDetector {
    /// Starts at `anchor`, a moment of this boot at which wall time was trusted: now, or the last one that was recorded.
    /// `suspended_ms` is [`Clock::suspended_ms`](super::Clock::suspended_ms) of the same time; `limit_ms` is usually
    /// [`WALL_JUMP_LIMIT_MS`].
    pub fn new(anchor: Moment, suspended_ms: u64, limit_ms: u64) -> Self {
        Self { limit_ms, anchor, suspended_ms }
    }

    /// The moment against which the wall clock is held now.
    pub fn anchor(&self) -> Moment {
        self.anchor
    }

    /// Takes the next reading, and says what happened since the ones before: nothing, a jump, a sleep, or both.
    pub fn observe(&mut self, moment: Moment, suspended_ms: u64) -> Vec<Discontinuity> {
        let mut found = Vec::new();
        let slept_ms = suspended_ms.saturating_sub(self.suspended_ms);
        if slept_ms > SUSPEND_LIMIT_MS {
            self.suspended_ms = suspended_ms;
            found.push(Discontinuity::Suspended { by_ms: slept_ms });
        }
        let by_ms = difference_ms(self.anchor, moment);
        let elapsed_ms = moment.boot_ms.saturating_sub(self.anchor.boot_ms);
        if by_ms.unsigned_abs() > self.limit_ms.saturating_add(elapsed_ms / DRIFT_DIVISOR) {
            self.anchor = moment;
            found.push(Discontinuity::WallJump { by_ms });
        } else if elapsed_ms >= ANCHOR_AGE_MS && by_ms.unsigned_abs() <= READING_NOISE_MS + elapsed_ms / DRIFT_DIVISOR {
            self.anchor = moment;
        }
        found
    }
}

/// How much further wall time went than boot time, from one moment to the other.
fn difference_ms(from: Moment, to: Moment) -> i64 {
    let wall = i128::from(to.wall_ms) - i128::from(from.wall_ms);
    let boot = i128::from(to.boot_ms) - i128::from(from.boot_ms);
    let difference = wall - boot;
    i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::Discontinuity::{Suspended, WallJump};
    use super::*;
    use proptest::prelude::*;

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const START: Moment = Moment { wall_ms: 1_750_000_000_000, boot_ms: 5_000_000 };

    fn detector() -> JumpDetector {
        JumpDetector::new(START, 0, WALL_JUMP_LIMIT_MS)
    }

    /// The moment `elapsed` milliseconds after the start, with the wall clock `shift` milliseconds off.
    fn at(elapsed: i64, shift: i64) -> Moment {
        Moment { wall_ms: START.wall_ms + elapsed + shift, boot_ms: START.boot_ms + elapsed.unsigned_abs() }
    }

    #[test]
    fn one_step_is_reported_when_it_exceeds_the_limit() {
        let table = [
            (0, None),
            (HOUR, None),
            (-HOUR, None),
            (HOUR + 1000, Some(HOUR + 1000)),
            (-HOUR - 1000, Some(-HOUR - 1000)),
            (-DAY, Some(-DAY)),
            (3653 * DAY, Some(3653 * DAY)),
        ];
        for (shift, expected) in table {
            let found = detector().observe(at(1000, shift), 0);
            let jump: Vec<_> = expected.map(|by_ms| WallJump { by_ms }).into_iter().collect();
            assert_eq!(found, jump, "shift {shift}");
        }
    }

    #[test]
    fn a_jump_is_reported_once_and_the_way_back_is_another() {
        let mut detector = detector();
        assert_eq!(detector.observe(at(1000, 2 * HOUR), 0), [WallJump { by_ms: 2 * HOUR }]);
        assert_eq!(detector.observe(at(2000, 2 * HOUR), 0), []);
        assert_eq!(detector.observe(at(3000, 0), 0), [WallJump { by_ms: -2 * HOUR }]);
        assert_eq!(detector.anchor(), at(3000, 0));
    }

    #[test]
    fn honest_drift_over_a_year_is_no_incident() {
        for parts_per_million in [-499, -50, 50, 499] {
            let mut detector = detector();
            for minutes in 1..=365 * 24 * 60 {
                let elapsed = minutes * MINUTE;
                let shift = elapsed * parts_per_million / 1_000_000;
                assert_eq!(detector.observe(at(elapsed, shift), 0), [], "{parts_per_million} ppm");
            }
        }
    }

    #[test]
    fn drift_seen_after_a_long_silence_is_no_incident() {
        let elapsed = 365 * DAY;
        assert_eq!(detector().observe(at(elapsed, elapsed * 499 / 1_000_000), 0), []);
    }

    #[test]
    fn steps_below_the_limit_add_up() {
        let mut detector = detector();
        assert_eq!(detector.observe(at(MINUTE, 40 * MINUTE), 0), []);
        assert_eq!(detector.observe(at(2 * MINUTE, 80 * MINUTE), 0), [WallJump { by_ms: 80 * MINUTE }]);
    }

    #[test]
    fn many_small_steps_do_not_pass_for_drift() {
        let mut detector = detector();
        let reported = (1..=4000).find(|n| !detector.observe(at(n * 1000, n * 1000), 0).is_empty());
        assert!(reported.is_some_and(|n| (3600..3610).contains(&n)), "{reported:?}");
    }

    #[test]
    fn a_sleep_is_reported_and_is_no_jump_when_the_wall_clock_went_on() {
        let mut detector = detector();
        assert_eq!(detector.observe(at(1000, 0), 1000), []);
        let night = at(8 * HOUR, 0);
        assert_eq!(detector.observe(night, 28_790_000), [Suspended { by_ms: 28_790_000 }]);
        assert_eq!(detector.observe(at(8 * HOUR + 1000, 0), 28_790_000), []);
    }

    #[test]
    fn a_sleep_and_a_jump_are_both_reported() {
        let found = detector().observe(at(DAY, 2 * DAY), 80_000_000);
        assert_eq!(found, [Suspended { by_ms: 80_000_000 }, WallJump { by_ms: 2 * DAY }]);
    }

    proptest! {
        #[test]
        fn no_reading_panics_and_none_is_reported_twice(
            wall_ms: i64, boot_ms: u64, suspended_ms: u64, from_wall: i64, from_boot: u64, limit_ms: u64,
        ) {
            let moment = Moment { wall_ms, boot_ms };
            let from = Moment { wall_ms: from_wall, boot_ms: from_boot };
            let mut detector = JumpDetector::new(from, 0, limit_ms);
            detector.observe(moment, suspended_ms);
            let again = detector.observe(moment, suspended_ms);
            prop_assert!(again.is_empty());
        }

        #[test]
        fn a_step_above_the_limit_is_always_reported(
            elapsed in 0..DAY, excess in 44_000..1000 * DAY, forward: bool,
        ) {
            let shift = if forward { HOUR + excess } else { -HOUR - excess };
            let found = detector().observe(at(elapsed, shift), 0);
            prop_assert_eq!(found, [WallJump { by_ms: shift }]);
        }
    }
}
