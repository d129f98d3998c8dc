//! Room on the disk while a step writes: a run that takes more than it may is stopped, and before the disk is full of what
//! runs wrote, they are.

use std::convert::Infallible;
use std::time::Duration;

use agentd_schemas::event::FailureReason;
use agentd_schemas::launch::{Outcome, StopCause};
use agentd_schemas::problem::Problem;
use agentd_schemas::unit::size::Size;

use super::conclusion::Conclusion;
use super::course::blocking;
use super::step::Steps;
use crate::runner::{self, Host, Job, Step};
use crate::sys::room::Room;

/// From the beginning of a step to the first look at what it takes.
const FIRST_LOOK_MS: u64 = 1_000;
/// Between two looks, at least.
const LOOK_MS: u64 = 5_000;
/// How much longer than a look the pause after it is, at least: many files are not looked at all the time.
const REST: u64 = 10;

/// Bytes that have to be free before a step begins: for its spec, its record, and what it says.
const STEP_BYTES: u64 = 1 << 20;
/// How long a step waits for them. After that it is tried all the same, and what fails is told.
pub(super) const ROOM_PATIENCE_MS: u64 = 600_000;

/// What is counted file by file is counted for one run at a time.
static COUNTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What is free of the disk with the folders of runs.
#[derive(Debug, Clone, Copy)]
struct Disk {
    free: u64,
    total: u64,
    /// Below this share, in percent, no run begins.
    least: u64,
}

impl Disk {
    fn of(host: &Host) -> Option<Self> {
        let (free, total) = runner::free_share(&host.runs).ok()?;
        Some(Self { free, total, least: host.defaults.min_free_percent })
    }

    /// Less is free than what lets runs begin.
    fn is_short(self) -> bool {
        self.free.saturating_mul(100) < self.total.saturating_mul(self.least)
    }

    /// Half of that is left: it is for the ledger.
    fn is_full(self) -> bool {
        self.free.saturating_mul(200) < self.total.saturating_mul(self.least)
    }
}

/// Why a step is to be stopped, by what it takes. On a disk that is short of room those are stopped that have a hundredth of
/// it or more, and all of them before the ledger's part is gone.
fn verdict(taken: Room, most: Room, disk: Option<Disk>) -> Option<StopCause> {
    let large = |disk: Disk| taken.bytes.saturating_mul(100) >= disk.total;
    if taken.is_beyond(most) {
        return Some(StopCause::OverSize);
    }
    disk.filter(|disk| disk.is_full() || disk.is_short() && large(*disk)).map(|_| StopCause::DiskFull)
}

impl Steps<'_> {
    /// Whether the disk has room for what a step needs before its program writes a byte.
    pub(super) async fn has_room(&self) -> Result<bool, Problem> {
        let host = self.host.clone();
        let disk = blocking(move || Disk::of(&host)).await?;
        Ok(disk.is_none_or(|disk| disk.free >= STEP_BYTES))
    }

    /// Watches a step to its end, and meanwhile what it takes of the disk.
    pub(super) async fn within_its_room<T>(&self, step: Step, end: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            end = end => end,
            never = self.keep_room(step) => match never {},
        }
    }

    async fn keep_room(&self, step: Step) -> Infallible {
        let mut pause = FIRST_LOOK_MS;
        loop {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let began = self.engine.0.clock.boot_ms();
            if let Some(cause) = self.look_at_room(step).await {
                let (run, folder) = (self.folder.run(), self.folder.clone());
                let request = format!("stop {}", cause.as_str());
                tracing::warn!(%run, "step {step} of the run is stopped: {}", why(cause, self.most, self.host));
                let told = blocking(move || runner::control(&folder, step, &request)).await;
                if let Ok(Err(error)) = told {
                    tracing::debug!(%run, "that the run takes too much did not reach it: {error}");
                }
            }
            let took = self.engine.0.clock.boot_ms().saturating_sub(began);
            pause = took.saturating_mul(REST).max(LOOK_MS);
        }
    }

    async fn look_at_room(&self, step: Step) -> Option<StopCause> {
        let host = self.host.clone();
        let disk = blocking(move || Disk::of(&host)).await.ok().flatten();
        // Nobody is waited for where all must end.
        if let Some(cause) = verdict(Room::default(), self.most, disk) {
            return Some(cause);
        }
        let (folder, most) = (self.folder.clone(), self.most);
        let turn = COUNTING.lock().await;
        let taken = blocking(move || runner::taken(&folder, step, most)).await.ok()?;
        drop(turn);
        match taken {
            Ok(taken) => verdict(taken?, most, disk),
            Err(error) => {
                tracing::warn!(run = %self.folder.run(), "what step {step} of the run takes is not known: {error}");
                None
            }
        }
    }
}

fn why(cause: StopCause, most: Room, host: &Host) -> String {
    let least = host.defaults.min_free_percent;
    match cause {
        StopCause::DiskFull => format!("less than {least} % of the disk is free (runs.min_free_percent)"),
        _ => {
            let bytes =
                Size::from_bytes(most.bytes).map_or_else(|_| format!("{} bytes", most.bytes), |size| size.to_string());
            format!(
                "more than {bytes} or {} files in workspace, home and temporary files (resources.workspace_max, \
                 resources.workspace_files_max)",
                most.files
            )
        }
    }
}

/// What comes of a program that was stopped for what it took.
pub(super) fn ended(job: &Job, host: &Host, outcome: &Outcome) -> Option<Conclusion> {
    let cause = outcome.stopped?;
    let reason = match cause {
        StopCause::OverSize => FailureReason::ProgramFailed,
        StopCause::DiskFull => FailureReason::DiskFull,
        _ => return None,
    };
    Some(Conclusion::Failed(reason, format!("its program was stopped: {}", why(cause, job.room(host), host))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_too_much_is_stopped_and_the_ledger_keeps_its_part() {
        let most = Room { bytes: 4 << 30, files: 100 };
        let disk = |percent: u64| Some(Disk { free: percent * (1 << 30), total: 100 << 30, least: 10 });
        let room = |bytes: u64, files: u64| Room { bytes, files };
        let table = [
            (room(4 << 30, 100), disk(50), None),
            (room((4 << 30) + 1, 1), disk(50), Some(StopCause::OverSize)),
            (room(0, 101), disk(50), Some(StopCause::OverSize)),
            (room(0, 101), None, Some(StopCause::OverSize)),
            (room(2 << 30, 1), disk(10), None),
            // Short of room: who holds a hundredth goes, who is small stays.
            (room(1 << 30, 1), disk(9), Some(StopCause::DiskFull)),
            (room((1 << 30) - 1, 1), disk(9), None),
            (room(0, 0), disk(5), None),
            (room(0, 0), disk(4), Some(StopCause::DiskFull)),
        ];
        for (taken, disk, expected) in table {
            assert_eq!(verdict(taken, most, disk), expected, "{taken:?} {disk:?}");
        }
        let open = Disk { free: 0, total: 1 << 40, least: 0 };
        assert_eq!(verdict(room(1 << 30, 1), most, Some(open)), None, "0 percent is no bound");
    }
}
