//! This process: its size, its limits, and what it keeps others from seeing of it.

use super::proc_file::{self, ProcFileError};
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

const STATUS_FILE: &str = "/proc/self/status";
const HOSTNAME_FILE: &str = "/proc/sys/kernel/hostname";

/// The kernel refused a setting of this process.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}")]
pub struct ProcessError {
    /// What was attempted.
    pub action: &'static str,
    /// What the system answered.
    #[source]
    pub source: io::Error,
}

fn failed(action: &'static str) -> impl FnOnce(rustix::io::Errno) -> ProcessError {
    move |errno| ProcessError { action, source: errno.into() }
}

/// What the kernel puts behind the path of a program whose file is gone.
const REPLACED: &[u8] = b" (deleted)";

/// Where this process' own program is. After an upgrade it is the next version, in the same place.
pub fn own_program() -> io::Result<PathBuf> {
    std::env::current_exe().map(in_its_place)
}

fn in_its_place(path: PathBuf) -> PathBuf {
    let place = path.as_os_str().as_bytes().strip_suffix(REPLACED).map(OsStr::from_bytes).map(PathBuf::from);
    place.unwrap_or(path)
}

/// Bytes of memory that this process has resident.
pub fn resident_bytes() -> Result<u64, ProcFileError> {
    let status = proc_file::read(STATUS_FILE)?;
    let expected = "a line VmRSS in kB";
    parse_resident(&status).ok_or_else(|| ProcFileError::Malformed { path: STATUS_FILE.to_owned(), expected })
}

/// What this process uses, and may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory that are resident.
    pub resident_bytes: u64,
    /// Bytes of addresses.
    pub virtual_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Processor time of all threads, in microseconds.
    pub cpu_us: u64,
    /// Open files, at most; `None` for no limit.
    pub max_open_files: Option<u64>,
}

/// What this process uses now. How many files are open is not in it: of a process that is not dumpable the kernel tells
/// root alone.
pub fn usage() -> Result<Usage, ProcFileError> {
    let status = proc_file::read(STATUS_FILE)?;
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let kib = |name| line(name)?.strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024);
    let (resident, size) = (parse_resident(&status), kib("VmSize:"));
    let threads = line("Threads:").and_then(|number| number.parse().ok());
    let expected = "lines VmRSS and VmSize in kB, and Threads";
    let malformed = || ProcFileError::Malformed { path: STATUS_FILE.to_owned(), expected };
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let cpu_us = cpu.tv_sec.unsigned_abs().saturating_mul(1_000_000) + cpu.tv_nsec.unsigned_abs() / 1000;
    Ok(Usage {
        resident_bytes: resident.ok_or_else(malformed)?,
        virtual_bytes: size.ok_or_else(malformed)?,
        threads: threads.ok_or_else(malformed)?,
        cpu_us,
        max_open_files: rustix::process::getrlimit(Resource::Nofile).current,
    })
}

/// The line is `VmRSS:` and a number of KiB, which the kernel calls kB. Unlike `statm` it needs no page size.
fn parse_resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

/// The user that this process acts as.
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The group that this process acts as.
pub fn effective_gid() -> u32 {
    rustix::process::getegid().as_raw()
}

/// Raises the limit of open files to `wanted`, or as near as the hard limit allows, and gives the limit that holds now.
/// A limit that is higher already is left alone.
pub fn raise_open_files_limit(wanted: u64) -> Result<u64, ProcessError> {
    let now = rustix::process::getrlimit(Resource::Nofile);
    // No limit at all is told as `None`.
    let reachable = now.maximum.map_or(wanted, |hard| wanted.min(hard));
    match now.current {
        None => Ok(u64::MAX),
        Some(current) if current >= reachable => Ok(current),
        Some(_) => {
            let raised = Rlimit { current: Some(reachable), maximum: now.maximum };
            rustix::process::setrlimit(Resource::Nofile, raised).map_err(failed("raise the limit of open files"))?;
            Ok(reachable)
        }
    }
}

/// Keeps this process's memory, which holds keys, out of core dumps and out of reach of debuggers of the same user.
///
/// From then on the kernel treats `/proc/self` as root's: without privileges, `/proc/self/fd` can no longer be opened.
pub fn forbid_core_dumps() -> Result<(), ProcessError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none).map_err(failed("set the core size limit to 0"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(failed("make the process not dumpable"))
}

/// Makes whatever this process creates from now on private to its user, unless it says otherwise.
pub fn set_private_umask() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// New files may be used by their group too, where they ask for that, and by nobody else.
pub fn set_group_umask() {
    rustix::process::umask(rustix::fs::Mode::RWXO);
}

/// The host's name, as the kernel of this container or machine has it.
pub fn hostname() -> Result<String, ProcFileError> {
    proc_file::read(HOSTNAME_FILE).map(|name| name.trim_end().to_owned())
}

/// Whether somebody at a terminal can type to this process.
pub fn has_controlling_terminal() -> bool {
    // The kernel opens this name for a process with a controlling terminal only.
    rustix::fs::open("/dev/tty", OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::scratch::{self, Scratch};
    use super::*;
    use std::fs::File;
    use std::hint::black_box;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    fn output(program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn what_the_process_uses_is_what_the_kernel_says_of_it() {
        let before = usage().unwrap();
        std::hint::black_box((0..20_000_000_u64).fold(0, |sum: u64, n| std::hint::black_box(sum ^ n)));
        let after = usage().unwrap();
        assert!(after.cpu_us > before.cpu_us);
        assert!(after.threads >= 1 && after.virtual_bytes >= after.resident_bytes && after.resident_bytes > 0);
    }

    #[test]
    fn a_program_whose_file_was_replaced_is_still_in_its_place() {
        let scratch = Scratch::new();
        let (place, next) = (scratch.path().join("program"), scratch.path().join("next"));
        for copy in [&place, &next] {
            std::fs::copy("/bin/sleep", copy).unwrap();
        }
        let mut running = Command::new(&place).arg("600").stdin(Stdio::null()).spawn().unwrap();
        let link = format!("/proc/{}/exe", running.id());
        let before = std::fs::read_link(&link).unwrap();
        std::fs::rename(&next, &place).unwrap();
        let after = std::fs::read_link(&link).unwrap();
        running.kill().unwrap();
        running.wait().unwrap();
        assert_ne!(before, after, "the kernel marks it");
        assert_eq!(in_its_place(after), before);
        assert_eq!(in_its_place(before.clone()), before);
    }

    #[test]
    fn touched_memory_shows_in_the_resident_size() {
        const SIZE: usize = 64 * 1024 * 1024;
        let before = resident_bytes().unwrap();
        let block = black_box(vec![1_u8; SIZE]);
        let with = resident_bytes().unwrap();
        assert!(with >= before + SIZE as u64 / 2, "{before} {with}");
        drop(block);
    }

    #[test]
    fn the_resident_line_is_read_strictly() {
        let table = [
            ("Name:\tx\nVmRSS:\t    2048 kB\nVmData:\t1 kB\n", Some(2_097_152)),
            ("VmRSS:\t0 kB", Some(0)),
            ("VmRSS:\t12", None),
            ("VmRSS:\t-1 kB", None),
            ("VmRSS:\t18446744073709551615 kB", None),
            ("Name:\tx", None),
        ];
        for (status, expected) in table {
            assert_eq!(parse_resident(status), expected, "{status:?}");
        }
    }

    #[test]
    fn ids_and_hostname_agree_with_other_programs() {
        assert_eq!(effective_uid().to_string(), output("id", &["-u"]));
        assert_eq!(effective_gid().to_string(), output("id", &["-g"]));
        assert_eq!(hostname().unwrap(), output("uname", &["-n"]));
    }

    #[test]
    fn a_child_in_a_new_session_has_no_terminal() {
        assert!(scratch::passes(
            Command::new("setsid")
                .arg("--wait")
                .args(scratch::command_line(&scratch::child("sys::process::tests::child_has_no_terminal",)))
        ));
    }

    #[test]
    #[ignore = "the second process of `a_child_in_a_new_session_has_no_terminal`"]
    fn child_has_no_terminal() {
        assert!(!has_controlling_terminal());
    }

    #[test]
    fn a_child_on_a_pseudo_terminal_has_one() {
        let script = "import os, pty, sys\n\
            pid, terminal = pty.fork()\n\
            if pid == 0: os.execv(sys.argv[1], sys.argv[1:])\n\
            try:\n\
            \x20   while os.write(1, os.read(terminal, 4096)): pass\n\
            except OSError: pass\n\
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))";
        assert!(scratch::passes(
            Command::new("python3")
                .args(["-c", script])
                .args(scratch::command_line(&scratch::child("sys::process::tests::child_has_a_terminal",)))
        ));
    }

    #[test]
    #[ignore = "the second process of `a_child_on_a_pseudo_terminal_has_one`"]
    fn child_has_a_terminal() {
        assert!(has_controlling_terminal());
    }

    #[test]
    fn limits_and_masks_hold_in_a_process_of_their_own() {
        let child = "sys::process::tests::child_shuts_itself_off";
        assert!(scratch::passes(
            Command::new("bash")
                .args(["-c", "ulimit -S -n 64; ulimit -H -n 128; exec \"$@\"", "bash",])
                .args(scratch::command_line(&scratch::child(child)))
                .stdin(Stdio::null())
        ));
    }

    #[test]
    #[ignore = "the second process of `limits_and_masks_hold_in_a_process_of_their_own`"]
    fn child_shuts_itself_off() {
        assert_eq!(raise_open_files_limit(100).unwrap(), 100);
        assert_eq!(raise_open_files_limit(10).unwrap(), 100);
        assert_eq!(raise_open_files_limit(1_000_000).unwrap(), 128);
        let limits = proc_file::read("/proc/self/limits").unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        assert_eq!(line.split_whitespace().nth(3), Some("128"), "{line}");

        forbid_core_dumps().unwrap();
        assert_eq!(rustix::process::dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
        let limits = proc_file::read("/proc/self/limits").unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(line.split_whitespace().nth(4), Some("0"), "{line}");
        assert!(resident_bytes().unwrap() > 0, "readable after it is not dumpable");

        set_private_umask();
        let scratch = Scratch::new();
        let file = File::create(scratch.join("file")).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
