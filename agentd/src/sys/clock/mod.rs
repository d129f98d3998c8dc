//! The kernel's clocks, and which boot they belong to.
//!
//! Three clocks with three uses: wall time for what people read and for deadlines, boot time (which counts while the
//! machine sleeps) for leases and timeouts, monotonic time (which does not) only to tell that the machine slept.

mod jump;

pub use jump::{Discontinuity, JumpDetector, WALL_JUMP_LIMIT_MS};

use super::proc_file::{self, ProcFileError};
use data_encoding::HEXLOWER;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::str::FromStr;

/// Two readings further apart than this were interrupted in between, and are taken again.
const TOGETHER_WITHIN_MS: u64 = 5;
/// Attempts at an uninterrupted pair of readings before the last one is taken as it is.
const ATTEMPTS: u32 = 4;
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// The machine's clocks. Holds nothing, costs nothing to copy.
#[derive(Debug, Clone, Copy)]
pub struct Clock(());

impl Clock {
    /// The clocks of the running kernel.
    pub fn system() -> Self {
        Self(())
    }

    /// Wall time in Unix milliseconds (`CLOCK_REALTIME`); negative before 1970.
    ///
    /// Asked through the C library rather than the vDSO directly, so that a preloaded library can shift it in tests.
    #[allow(unsafe_code)]
    #[allow(clippy::useless_conversion)] // the fields are narrower on 32-bit targets
    pub fn wall_ms(&self) -> i64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is a live, writable timespec and the call keeps no pointer to it.
        let code = unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut time) };
        if code == 0 {
            i64::from(time.tv_sec).saturating_mul(1000).saturating_add(i64::from(time.tv_nsec) / 1_000_000)
        } else {
            // Reachable only when something preloaded refuses: the kernel itself always has this clock.
            let time = clock_gettime(ClockId::Realtime);
            time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
        }
    }

    /// Milliseconds since the machine booted, time asleep included (`CLOCK_BOOTTIME`).
    pub fn boot_ms(&self) -> u64 {
        since_boot_ms(ClockId::Boottime)
    }

    /// Milliseconds since the machine booted, time asleep not included (`CLOCK_MONOTONIC`).
    pub fn monotonic_ms(&self) -> u64 {
        since_boot_ms(ClockId::Monotonic)
    }

    /// Milliseconds that the machine has slept since it booted: boot time less monotonic time.
    pub fn suspended_ms(&self) -> u64 {
        let (boot_ms, monotonic_ms) = bracketed(|| self.boot_ms(), || self.monotonic_ms());
        boot_ms.saturating_sub(monotonic_ms)
    }

    /// Wall and boot time of the same instant, to within a few milliseconds.
    pub fn moment(&self) -> Moment {
        let (boot_ms, wall_ms) = bracketed(|| self.boot_ms(), || self.wall_ms());
        Moment { wall_ms, boot_ms }
    }

    /// Which boot of the machine this is. Read from the kernel at each call; keep the answer.
    pub fn boot_id(&self) -> Result<BootId, ProcFileError> {
        read_boot_id(BOOT_ID_FILE)
    }
}

/// Microseconds of `CLOCK_MONOTONIC`, the unit that the service manager's protocol asks for.
pub fn monotonic_us() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1000)
}

fn since_boot_ms(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000)
}

/// Reads `first`, `second`, `first`, and starts over when the outer two lie apart: the process was off the CPU between
/// them, and the pair would claim a distance between two clocks that is none.
fn bracketed<T>(first: impl Fn() -> u64, second: impl Fn() -> T) -> (u64, T) {
    let mut before = first();
    let mut between = second();
    for _ in 1..ATTEMPTS {
        let after = first();
        if after.saturating_sub(before) <= TOGETHER_WITHIN_MS {
            break;
        }
        before = after;
        between = second();
    }
    (before, between)
}

/// Wall and boot time of one instant. Two moments can be compared only within one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Unix milliseconds.
    pub wall_ms: i64,
    /// Milliseconds since boot, time asleep included.
    pub boot_ms: u64,
}

impl Moment {
    /// Now.
    pub fn read() -> Self {
        Clock::system().moment()
    }
}

/// The kernel's random name for one boot of the machine. Its text form is 32 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId([u8; 16]);

/// The text is no boot id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a boot id is 32 lowercase hex digits")]
pub struct BootIdError;

impl BootId {
    /// A boot id that was stored as its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for BootId {
    type Err = BootIdError;

    fn from_str(text: &str) -> Result<Self, BootIdError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| BootIdError)?;
        bytes.try_into().map(Self).map_err(|_| BootIdError)
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootId({self})")
    }
}

/// The kernel writes a UUID with dashes and a newline.
fn read_boot_id(path: &str) -> Result<BootId, ProcFileError> {
    let digits: String = proc_file::read(path)?.trim_end().split('-').collect();
    digits
        .parse()
        .map_err(|BootIdError| ProcFileError::Malformed { path: path.to_owned(), expected: "a boot id (a UUID)" })
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;
    use std::cell::Cell;
    use std::process::Command;

    #[test]
    fn the_wall_clock_agrees_with_another_program() {
        let clock = Clock::system();
        let before = clock.wall_ms();
        let output = Command::new("date").arg("+%s%3N").output().unwrap();
        let after = clock.wall_ms();
        let theirs: i64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        assert!(before <= theirs && theirs <= after, "{before} <= {theirs} <= {after}");
    }

    #[test]
    fn boot_time_is_what_the_kernel_calls_uptime() {
        let before = Clock::system().boot_ms();
        let uptime = proc_file::read("/proc/uptime").unwrap();
        let after = Clock::system().boot_ms();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let uptime_ms = (seconds * 1000.0).round() as u64;
        // /proc/uptime is cut to hundredths of a second.
        assert!(before <= uptime_ms + 10 && uptime_ms <= after, "{before} {uptime_ms} {after}");
    }

    #[test]
    fn monotonic_time_never_leads_boot_time() {
        let clock = Clock::system();
        let monotonic_ms = clock.monotonic_ms();
        assert!(monotonic_ms <= clock.boot_ms());
        assert!(clock.suspended_ms() <= clock.boot_ms());
        assert!(monotonic_ms <= monotonic_us() / 1000);
    }

    #[test]
    fn a_moment_lies_between_the_readings_around_it() {
        let clock = Clock::system();
        let (wall_before, boot_before) = (clock.wall_ms(), clock.boot_ms());
        let moment = Moment::read();
        let (wall_after, boot_after) = (clock.wall_ms(), clock.boot_ms());
        assert!((wall_before..=wall_after).contains(&moment.wall_ms));
        assert!((boot_before..=boot_after).contains(&moment.boot_ms));
    }

    #[test]
    fn an_interrupted_pair_is_read_again() {
        let ticks = Cell::new(0_u64);
        let readings = [0, 900, 903];
        let first = || {
            let index = usize::try_from(ticks.get()).unwrap();
            ticks.set(ticks.get() + 1);
            readings[index]
        };
        let seconds = Cell::new(0);
        let second = || {
            seconds.set(seconds.get() + 1);
            seconds.get()
        };
        assert_eq!(bracketed(first, second), (900, 2));
    }

    #[test]
    fn a_busy_machine_gets_its_last_pair_and_no_endless_loop() {
        let ticks = Cell::new(0_u64);
        let first = || {
            ticks.set(ticks.get() + 1000);
            ticks.get()
        };
        assert_eq!(bracketed(first, || ()), (u64::from(ATTEMPTS) * 1000, ()));
    }

    #[test]
    fn the_boot_id_is_the_kernels_without_dashes() {
        let id = Clock::system().boot_id().unwrap();
        let text = proc_file::read(BOOT_ID_FILE).unwrap().replace('-', "");
        assert_eq!(id.to_string(), text.trim());
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(BootId::from_bytes(*id.as_bytes()), id);
    }

    #[test]
    fn a_container_without_a_boot_id_is_a_named_error() {
        let scratch = Scratch::new();
        let path = scratch.join("boot_id");
        let path = path.to_str().unwrap();
        let missing = read_boot_id(path).unwrap_err();
        assert!(matches!(&missing, ProcFileError::Unreadable { path: named, .. } if named == path));
        std::fs::write(path, "302d4d64-98f3-474e\n").unwrap();
        let short = read_boot_id(path).unwrap_err();
        assert!(matches!(&short, ProcFileError::Malformed { path: named, .. } if named == path));
    }

    #[test]
    fn text_that_is_no_boot_id_is_refused() {
        for text in ["", "0", "302D4D6498F3474EAF24B898A311BD0C", "302d4d6498f3474eaf24b898a311bd0", "é"] {
            assert_eq!(text.parse::<BootId>(), Err(BootIdError), "{text:?}");
        }
    }
}
