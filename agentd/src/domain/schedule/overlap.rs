//! Ticks whose predecessor is still at work.

pub use agentd_schemas::document::schedule::Overlap;

/// What a tick is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnTick {
    /// Submit the work: nothing is in its way.
    Start,
    /// Submit the work to wait behind what is unfinished.
    Wait,
    /// Cancel what is unfinished and what waits, then submit the work.
    Replace,
    /// Let the tick pass, because work is unfinished.
    Pass,
    /// Let the tick pass, because the queue holds as many as it may.
    PassFull,
}

/// Decides one tick. `unfinished` says whether work of the schedule is at work, `queued` how many ticks wait behind it,
/// and `bound` how many may. A tick that waits counts as unfinished, so no later tick overtakes it.
pub fn on_tick(overlap: Overlap, unfinished: bool, queued: usize, bound: usize) -> OnTick {
    if !unfinished && queued == 0 {
        return OnTick::Start;
    }
    match overlap {
        Overlap::Skip => OnTick::Pass,
        Overlap::Queue if queued < bound => OnTick::Wait,
        Overlap::Queue => OnTick::PassFull,
        Overlap::Replace => OnTick::Replace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_starts_waits_replaces_or_passes() {
        use OnTick::{Pass, PassFull, Replace, Start, Wait};
        for (policy, unfinished, queued, expected) in [
            (Overlap::Skip, false, 0, Start),
            (Overlap::Queue, false, 0, Start),
            (Overlap::Replace, false, 0, Start),
            (Overlap::Skip, true, 0, Pass),
            (Overlap::Skip, false, 1, Pass),
            (Overlap::Queue, true, 0, Wait),
            (Overlap::Queue, false, 1, Wait),
            (Overlap::Queue, true, 1, Wait),
            (Overlap::Queue, true, 2, PassFull),
            (Overlap::Queue, true, 3, PassFull),
            (Overlap::Replace, true, 0, Replace),
            (Overlap::Replace, true, 2, Replace),
            (Overlap::Replace, false, 2, Replace),
        ] {
            assert_eq!(on_tick(policy, unfinished, queued, 2), expected, "{policy:?} {unfinished} {queued}");
        }
        assert_eq!(on_tick(Overlap::Queue, true, 0, 0), PassFull, "a queue without room");
    }
}
