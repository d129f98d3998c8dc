//! Ticks that passed while nobody looked: which of them are still run.

pub use agentd_schemas::document::schedule::Missed;
use jiff::{SignedDuration, Timestamp};

use super::timetable::Timetable;

/// Most ticks that one catch-up runs, whatever the schedule asks for.
pub const MAX_CATCH_UP: usize = 1_000;

/// How late a tick may be seen and still count as on time and not as missed.
pub const ON_TIME: SignedDuration = SignedDuration::from_secs(60);

/// What a look at the clock finds to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatchUp {
    /// Ticks to run now, in order.
    pub due: Vec<Timestamp>,
    /// The newest tick that passed, when none of those that passed is to run.
    pub passed: Option<Timestamp>,
    /// How many ticks before the first of these passed and will never run, counted up to [`MAX_CATCH_UP`].
    pub skipped: u64,
    /// The next tick to wait for; none once the timetable has ended.
    pub next: Option<Timestamp>,
}

impl Timetable {
    /// Decides which ticks run now. `last` is the last tick dealt with, run or not (the start, if there was none), and
    /// `bound` (1 to [`MAX_CATCH_UP`]; what lies outside is moved to the nearer end) limits [`Missed::All`].
    ///
    /// A clock set back before `last` makes nothing due: no tick is dealt with twice.
    pub fn catch_up(&self, missed: Missed, bound: usize, last: Timestamp, now: Timestamp) -> CatchUp {
        let due: Vec<Timestamp> = match missed {
            Missed::Skip => self.newest(1, last, now).into_iter().filter(|tick| on_time(*tick, now)).collect(),
            Missed::Once => self.newest(1, last, now),
            Missed::All => self.newest(bound.clamp(1, MAX_CATCH_UP), last, now),
        };
        let passed = if due.is_empty() { self.last_between(last, now) } else { None };
        let skipped = due.first().or(passed.as_ref()).map_or(0, |first| self.count_between(last, *first));
        CatchUp { due, passed, skipped, next: self.next_after(last.max(now)) }
    }

    /// Ticks after one instant and before another, counted up to [`MAX_CATCH_UP`].
    fn count_between(&self, after: Timestamp, before: Timestamp) -> u64 {
        std::iter::successors(self.next_after(after), |tick| self.next_after(*tick))
            .take_while(|tick| *tick < before)
            .take(MAX_CATCH_UP)
            .fold(0, |count, _| count + 1)
    }

    /// The newest ticks after `last` up to `now`, oldest first.
    fn newest(&self, bound: usize, last: Timestamp, now: Timestamp) -> Vec<Timestamp> {
        let instant = SignedDuration::from_nanos(1);
        let mut ticks: Vec<Timestamp> = std::iter::successors(self.last_between(last, now), |tick| {
            self.last_between(last, tick.checked_sub(instant).ok()?)
        })
        .take(bound)
        .collect();
        ticks.reverse();
        ticks
    }
}

fn on_time(tick: Timestamp, now: Timestamp) -> bool {
    now.duration_since(tick) < ON_TIME
}
