//! The armed form, compiled for fault tests alone.

use super::{FailpointError, POINTS, Point, VARIABLE};
use crate::sys::env;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The plan of this process, once read.
static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

#[derive(Debug)]
struct Plan {
    point: Point,
    count: u32,
    action: Action,
    reached: AtomicU32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Kill,
    Error,
    Stall,
}

pub(super) fn arm_from_environment() -> Result<(), FailpointError> {
    let plan = env::var(VARIABLE)?.map(|text| parse(&text)).transpose()?;
    PLAN.get_or_init(|| plan);
    Ok(())
}

/// Reaches a point. `can_fail` says which of the two functions did, so that the table cannot lie about it.
pub(super) fn reach(name: &'static str, can_fail: bool) -> io::Result<()> {
    assert!(
        POINTS.iter().any(|point| point.name == name && point.can_fail == can_fail),
        "failpoint {name} is not in the table with can_fail {can_fail}"
    );
    match PLAN.get().and_then(Option::as_ref).and_then(|plan| plan.due(name)) {
        None => Ok(()),
        Some(Action::Error) => Err(rustix::io::Errno::NOSPC.into()),
        Some(Action::Kill) => kill(),
        Some(Action::Stall) => loop {
            std::thread::park();
        },
    }
}

fn kill() -> ! {
    let own = rustix::process::getpid();
    let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    // Not reached: a process cannot block its own SIGKILL. Still no destructor would run.
    std::process::abort()
}

impl Plan {
    /// The action, at the one time that the point is reached for the planned time.
    fn due(&self, name: &str) -> Option<Action> {
        let due = self.point.name == name && self.reached.fetch_add(1, Ordering::Relaxed).wrapping_add(1) == self.count;
        due.then_some(self.action)
    }
}

fn parse(text: &str) -> Result<Plan, FailpointError> {
    let (target, action) = match text.split_once('=') {
        None => (text, Action::Kill),
        Some((target, "error")) => (target, Action::Error),
        Some((target, "stall")) => (target, Action::Stall),
        Some((_, action)) => {
            return Err(FailpointError::Action { action: action.to_owned() });
        }
    };
    let (name, count) = target.split_once(':').unwrap_or((target, "1"));
    let point = POINTS.iter().copied().find(|point| point.name == name);
    let point = point.ok_or_else(|| FailpointError::Unknown { name: name.to_owned() })?;
    let count = match count.parse() {
        Ok(number) if number > 0 => number,
        _ => {
            return Err(FailpointError::Count { count: count.to_owned() });
        }
    };
    if action == Action::Error && !point.can_fail {
        return Err(FailpointError::CannotFail { name: point.name });
    }
    Ok(Plan { point, count, action, reached: AtomicU32::new(0) })
}

#[cfg(test)]
mod tests {
    use super::super::{arm_from_environment, check, hit};
    use super::*;
    use crate::sys::scratch::{self, Scratch};
    use crate::sys::secret_file::{self, Existing};
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;
    use std::process::ExitStatus;

    const SIGKILL: i32 = 9;

    #[test]
    fn the_variable_is_read_by_its_grammar() {
        let table = [
            ("commit.before", "commit.before", 1, Action::Kill),
            ("commit.after:3", "commit.after", 3, Action::Kill),
            ("secret.publish=error", "secret.publish", 1, Action::Error),
            ("commit.after:2=stall", "commit.after", 2, Action::Stall),
            ("secret.publish:4294967295=error", "secret.publish", u32::MAX, Action::Error),
        ];
        for (text, name, count, action) in table {
            let plan = parse(text).unwrap();
            assert_eq!((plan.point.name, plan.count, plan.action), (name, count, action), "{text}");
        }
    }

    #[test]
    fn what_the_grammar_does_not_know_is_named() {
        let unknown = |name: &str| FailpointError::Unknown { name: name.to_owned() };
        let count = |count: &str| FailpointError::Count { count: count.to_owned() };
        let table = [
            ("", unknown("")),
            ("commit.befor", unknown("commit.befor")),
            ("commit.before:0", count("0")),
            ("commit.before:-1", count("-1")),
            ("commit.before:", count("")),
            ("commit.before=hang", FailpointError::Action { action: "hang".to_owned() }),
            ("commit.after=error", FailpointError::CannotFail { name: "commit.after" }),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).unwrap_err(), expected, "{text:?}");
        }
        assert!(unknown("x").to_string().contains("commit.before, commit.after"));
    }

    #[test]
    fn an_action_is_due_at_its_count_alone() {
        let plan = parse("commit.before:3").unwrap();
        let due: Vec<bool> = (0..6).map(|_| plan.due("commit.before").is_some()).collect();
        assert_eq!(due, [false, false, true, false, false, false]);
        assert_eq!(plan.due("commit.after"), None);
    }

    #[test]
    #[should_panic(expected = "failpoint no.such.point is not in the table")]
    fn code_that_names_an_unlisted_point_is_found_out() {
        hit("no.such.point");
    }

    #[test]
    #[should_panic(expected = "failpoint commit.after is not in the table with can_fail true")]
    fn code_that_would_fail_where_the_table_says_die_is_found_out() {
        drop(check("commit.after"));
    }

    /// The scratch directory travels in a variable of its own.
    const KEY: &str = "AGENTD_TEST_KEY";

    #[test]
    #[ignore = "the second process of the tests below"]
    fn child_writes_two_secrets() {
        arm_from_environment().unwrap();
        let path = env::var(KEY).unwrap().unwrap();
        let results = ["one", "two"]
            .map(|secret| secret_file::write(Path::new(&path), secret.as_bytes(), Existing::Replace).is_ok());
        assert_eq!(results, [true, false]);
    }

    fn run_child(plan: &str, key: &Path) -> ExitStatus {
        scratch::child("sys::failpoint::armed::tests::child_writes_two_secrets")
            .env(VARIABLE, plan)
            .env(KEY, key)
            .output()
            .unwrap()
            .status
    }

    #[test]
    fn a_kill_in_mid_write_leaves_the_old_secret_whole() {
        let scratch = Scratch::new();
        let key = scratch.join("key");
        assert_eq!(run_child("secret.publish:2", &key).signal(), Some(SIGKILL));
        assert_eq!(secret_file::read(&key, 64).unwrap().expose(), b"one");
        // Dead before its destructors and its clean-up: the unfinished file is still there.
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_full_disk_leaves_the_old_secret_and_nothing_unfinished() {
        let scratch = Scratch::new();
        let key = scratch.join("key");
        assert!(run_child("secret.publish:2=error", &key).success());
        assert_eq!(secret_file::read(&key, 64).unwrap().expose(), b"one");
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unknown_name_stops_the_start() {
        let scratch = Scratch::new();
        let status = run_child("secret.publsh", &scratch.join("key"));
        assert_eq!((status.success(), status.signal()), (false, None));
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
