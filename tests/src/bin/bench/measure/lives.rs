//! A fresh ledger with agents: how fast a waiting agent has a work, and how many whole lives a second.

use super::watched;
use crate::client::Task;
use crate::daemon::Daemon;
use crate::figures::{Better, Figures, Series};
use crate::options::Options;

const STAGE: &str = "lives";

pub(super) fn stage(options: &Options, figures: &mut Figures) -> anyhow::Result<()> {
    let daemon = Daemon::start(&options.binaries, &options.scratch.join("lives"))?;
    let mut p50 = Series::new("submit until a waiting agent has it, p50", "ms", Better::Less, Some(2.0));
    let mut p99 = Series::new("submit until a waiting agent has it, p99", "ms", Better::Less, None);
    for repetition in 0..options.repetitions {
        let name = format!("waiting-{repetition}");
        let works = options.size(400);
        let task = Task::Wake { control: daemon.control(), agents: daemon.agents(), name, works };
        let (sample, foreign) = watched(&task)?;
        p50.add(sample.p50_ms, foreign);
        p99.add(sample.p99_ms, foreign);
    }
    figures.take(p50, STAGE);
    figures.take(p99, STAGE);
    for (count, floor) in [(16, 3000.0), (64, 5000.0)] {
        let name = format!("submit, claim, complete with signatures: {count} agents");
        let mut rate = Series::new(name, "works/s", Better::More, Some(floor));
        for repetition in 0..options.repetitions {
            let name = format!("life-{count}-{repetition}");
            let works = options.size(16_384);
            let task = Task::Lives { control: daemon.control(), agents: daemon.agents(), name, count, works };
            let (sample, foreign) = watched(&task)?;
            rate.add(sample.rate(), foreign);
        }
        figures.take(rate, STAGE);
    }
    daemon.stop()
}
