//! Named places at which a fault test may kill the process or make an operation fail.
//!
//! With the cargo feature `failpoints`, `AGENTD_FAILPOINT` arms one of [`POINTS`] for the life of the process; without
//! it, [`hit`] and [`check`] are empty and the variable is not looked at.

#[cfg(feature = "failpoints")]
mod armed;

use std::io;

/// The variable: `NAME`, `NAME:COUNT` (the COUNT-th time it is reached, from 1), and behind either `=error` to fail there
/// in place of dying, or `=stall` to stand still there for good.
pub const VARIABLE: &str = "AGENTD_FAILPOINT";

/// One place in the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// What the variable and the code call it.
    pub name: &'static str,
    /// Whether the code there can take an error, and calls [`check`]; otherwise it can only die, and calls [`hit`].
    pub can_fail: bool,
    /// What has happened, and what has not, when it is reached.
    pub state: &'static str,
}

const fn point(name: &'static str, can_fail: bool, state: &'static str) -> Point {
    Point { name, can_fail, state }
}

/// Every place there is.
pub const POINTS: &[Point] = &[
    point("commit.begin", true, "the transaction is begun, nothing is decided"),
    point("commit.before", true, "events, projections and checkpoint are written, COMMIT is not issued"),
    point("commit.after", false, "COMMIT has returned, no caller is answered"),
    point("outbox.before", false, "the commit is durable, neither memory nor callers know of it"),
    point("timers.round", false, "the timers come round once more, nothing is looked at yet"),
    point("dispatch.round", false, "the giving out of runs comes round once more, nothing is looked at yet"),
    point("spec.write", true, "the folder of a run is laid out, the spec of its next step is not written"),
    point("launch.recorded", true, "the record and the folders are made, and still the launcher's own user's"),
    point("launch.exec", false, "the launcher has the run's user and becomes the shim next"),
    point("step.patience", true, "a launcher was started, and nothing is seen of its step yet"),
    point("shim.start", false, "the shim holds the record and has its spec, nothing of the run is started"),
    point("shim.begun", false, "the program began, no started.json says so"),
    point("shim.watch", true, "the program runs, and the shim looks after it"),
    point("shim.ended", false, "nothing of the run is left, no outcome.json says so"),
    point("shim.told", false, "the outcome is on disk, the shim has not ended"),
    point("secret.publish", true, "a secret is durable under no name yet"),
    point("secret.wipe", false, "a secret is in the place of another, whose bytes are still on the disk"),
    point("credentials.rotate", false, "the key is the previous one too, and no new one is made"),
];

/// The variable asks for something that does not exist. Nothing is armed; the daemon should not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FailpointError {
    /// No such point.
    #[error("{VARIABLE} names no failpoint: {name:?}; there are: {}", names())]
    Unknown {
        /// What it named.
        name: String,
    },
    /// The count is no number from 1.
    #[error("{VARIABLE} has a count of {count:?}; give a number from 1")]
    Count {
        /// What stood after the colon.
        count: String,
    },
    /// The action is none of ours.
    #[error("{VARIABLE} asks for action {action:?}; there are `error` and `stall`, and no action to kill")]
    Action {
        /// What stood after the equals sign.
        action: String,
    },
    /// The code at that point cannot take an error.
    #[error("failpoint {name} can only kill; leave `=error` away, or make it stall")]
    CannotFail {
        /// The point.
        name: &'static str,
    },
    /// The variable is not text.
    #[error(transparent)]
    NotUtf8(#[from] super::env::NotUtf8),
}

fn names() -> String {
    POINTS.iter().map(|point| point.name).collect::<Vec<_>>().join(", ")
}

/// Reads the variable. Called once, before anything that has a failpoint in it; a later call changes nothing.
#[inline]
pub fn arm_from_environment() -> Result<(), FailpointError> {
    #[cfg(feature = "failpoints")]
    armed::arm_from_environment()?;
    Ok(())
}

/// Passes the point `name`, or dies there by SIGKILL, so that no destructor runs.
#[inline]
pub fn hit(name: &'static str) {
    #[cfg(feature = "failpoints")]
    drop(armed::reach(name, false));
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}

/// Passes the point `name`, dies there, or fails as a full disk does (`ENOSPC`).
#[inline]
pub fn check(name: &'static str) -> io::Result<()> {
    #[cfg(feature = "failpoints")]
    armed::reach(name, true)?;
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_point_has_one_name_that_the_variable_can_carry() {
        let distinct: BTreeSet<&str> = POINTS.iter().map(|point| point.name).collect();
        assert_eq!(distinct.len(), POINTS.len());
        for point in POINTS {
            assert!(point.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.'), "{}", point.name);
        }
    }

    #[test]
    fn nothing_is_armed_by_default() {
        for point in POINTS {
            if point.can_fail {
                check(point.name).unwrap();
            } else {
                hit(point.name);
            }
        }
    }
}
