//! The watchdog's beat: sent by the engine's own progress, and by nothing else.
//!
//! Three parts have to come round: the writer (something goes through its mailbox and comes back), the timers, and the
//! giving out of runs. When each has, since the last beat, the one that came last sends the next. There is no clock that
//! beats by itself: where one of them stands still, nobody beats, and the service manager starts the daemon anew.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::Engine;

/// Told when everything came round.
type Beat = Box<dyn Fn() + Send + Sync>;

/// What has to come round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Part {
    /// The writer's thread.
    Writer = 1,
    /// The loop of the timers.
    Timers = 2,
    /// The loop that gives out runs.
    Dispatch = 4,
}

/// Which parts came round since the last beat, and when that was.
#[derive(Debug, Default)]
struct Rounds {
    came: u8,
    needed: u8,
    beat_at: u64,
    every_ms: u64,
    /// Something is on its way to the writer and back.
    asked: bool,
}

impl Rounds {
    /// A part came round. Whether that makes a beat.
    fn came(&mut self, part: Part, now_ms: u64) -> bool {
        self.came |= part as u8;
        let is_due = now_ms >= self.beat_at.saturating_add(self.every_ms);
        let beats = is_due && self.came & self.needed == self.needed;
        if beats {
            self.came = 0;
            self.beat_at = now_ms;
        }
        beats
    }
}

/// The heart. It does not beat where no manager asked for it.
#[derive(Default)]
pub(crate) struct Heart {
    beat: OnceLock<Beat>,
    rounds: Mutex<Rounds>,
}

impl Heart {
    fn rounds<T>(&self, change: impl FnOnce(&mut Rounds) -> T) -> T {
        change(&mut self.rounds.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Engine {
    /// Has `beat` called when everything came round, at most once in `every_ms`.
    pub fn beat(&self, every_ms: u64, beat: impl Fn() + Send + Sync + 'static) {
        let dispatch = if self.0.supervisor.is_some() { Part::Dispatch as u8 } else { 0 };
        self.0.heart.rounds(|rounds| {
            rounds.needed = Part::Writer as u8 | Part::Timers as u8 | dispatch;
            rounds.every_ms = every_ms;
        });
        let _ = self.0.heart.beat.set(Box::new(beat));
        self.0.timer.notify_one();
    }

    /// A part came round.
    pub(in crate::engine) fn came_round(&self, part: Part) {
        let Some(beat) = self.0.heart.beat.get() else { return };
        let now_ms = self.0.clock.boot_ms();
        if self.0.heart.rounds(|rounds| rounds.came(part, now_ms)) {
            beat();
        }
    }

    /// The timers came round: when the next beat is due, they have the other parts show that they do too. How long the
    /// timers may wait at most, for the beat's sake.
    pub(super) fn timers_came_round(&self) -> u64 {
        if self.0.heart.beat.get().is_none() {
            return u64::MAX;
        }
        self.came_round(Part::Timers);
        let now_ms = self.0.clock.boot_ms();
        let (is_due, asks, every_ms) = self.0.heart.rounds(|rounds| {
            let is_due = now_ms >= rounds.beat_at.saturating_add(rounds.every_ms);
            let asks = is_due && !rounds.asked;
            rounds.asked |= is_due;
            (is_due, asks, rounds.every_ms)
        });
        if is_due && let Some(supervisor) = &self.0.supervisor {
            supervisor.look_round();
        }
        if asks {
            let engine = self.clone();
            tokio::spawn(async move {
                let Ok(mailbox) = engine.0.mailbox() else { return };
                if mailbox.ping().await.is_ok() {
                    engine.0.heart.rounds(|rounds| rounds.asked = false);
                    engine.came_round(Part::Writer);
                }
            });
        }
        every_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_takes_every_part_and_comes_no_sooner_than_asked() {
        let mut rounds = Rounds { needed: 7, every_ms: 10, ..Rounds::default() };
        assert!(!rounds.came(Part::Timers, 100));
        assert!(!rounds.came(Part::Dispatch, 100));
        assert!(rounds.came(Part::Writer, 100));
        assert!(
            !rounds.came(Part::Writer, 101) && !rounds.came(Part::Timers, 101) && !rounds.came(Part::Dispatch, 109)
        );
        assert!(rounds.came(Part::Timers, 110), "each came round since the last beat");
    }

    #[test]
    fn a_part_that_stands_still_holds_the_beat_back_whatever_the_others_do() {
        let parts = [Part::Writer, Part::Timers, Part::Dispatch];
        for still in parts {
            let mut rounds = Rounds { needed: 7, every_ms: 10, ..Rounds::default() };
            for now in 0..1000 {
                let beats = parts.iter().filter(|part| **part != still).any(|part| rounds.came(*part, now));
                assert!(!beats, "{still:?} at {now}");
            }
            assert!(rounds.came(still, 1000));
        }
    }
}
