//! Privileges: having them, and gaining them.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::attempt::{Attempt, Row, contained, prepared, row, unavailable};
use crate::sys::{answer, call};
use crate::target::Target;

/// The table.
pub(crate) const ATTEMPTS: &[Row] = &[
    row("become-root", "setuid to 0 of the host", become_root),
    row("gain-capabilities", "capset of every capability", gain_capabilities),
    row("set-groups", "setgroups to the group 0", set_groups),
    row("run-set-uid-program", "gain the uid 0 by running a set-uid program", run_set_uid_program),
    row("no-new-privileges-missing", "find that programs may gain privileges", new_privileges),
];

fn become_root(target: &Target) -> Attempt {
    // SAFETY: it concerns this child alone.
    answer(unsafe { libc::setresuid(0, 0, 0) })?;
    if target.shares("self", "user") {
        Ok("it runs as root".to_owned())
    } else {
        contained("it runs as root of a user namespace of its own")
    }
}

/// `CAP_SYS_ADMIN`, in a namespace of its own too: it opens most of the kernel.
fn gain_capabilities(_: &Target) -> Attempt {
    const ADMIN: u32 = 1 << 21;
    // The third version, for this process.
    let header = [0x2008_0522_u32, 0];
    let mut sets = [[0_u32; 3]; 2];
    call!(SYS_capget, &raw const header, &raw mut sets)?;
    if sets[0][0] & ADMIN != 0 {
        return Ok("it has CAP_SYS_ADMIN".to_owned());
    }
    // Effective and permitted; what is inheritable stays.
    for set in &mut sets {
        (set[0], set[1]) = (set[0] | ADMIN, set[1] | ADMIN);
    }
    call!(SYS_capset, &raw const header, &raw const sets)?;
    Ok("it gained CAP_SYS_ADMIN".to_owned())
}

fn set_groups(_: &Target) -> Attempt {
    let groups: [libc::gid_t; 1] = [0];
    // SAFETY: one group, as said; it concerns this child alone.
    answer(unsafe { libc::setgroups(1, groups.as_ptr()) })?;
    Ok("it is in the group 0".to_owned())
}

fn new_privileges(_: &Target) -> Attempt {
    // SAFETY: it only asks.
    match answer(unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) })? {
        0 => Ok("no_new_privs is not set".to_owned()),
        _ => contained("no_new_privs is set"),
    }
}

/// Programs whose help does nothing and is printed before anything is asked.
const SET_UID: &[&str] = &["/usr/bin/su", "/usr/bin/mount", "/usr/bin/umount", "/usr/bin/chsh", "/usr/bin/passwd"];
const NOBODY: u32 = 65534;

/// Runs one with its output full, so that it stays where it prints, and looks whose it is.
fn run_set_uid_program(_: &Target) -> Attempt {
    let is_set_uid = |path: &&&str| fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o4000 != 0);
    let Some(program) = SET_UID.iter().find(is_set_uid) else { return unavailable("no set-uid program is in sight") };
    // SAFETY: they only ask, then concern this child alone. Root has nothing to gain: it tries as somebody else.
    if unsafe { libc::geteuid() } == 0 {
        prepared(
            answer(unsafe { libc::setgroups(0, std::ptr::null()) })
                .and_then(|_| answer(unsafe { libc::setresgid(NOBODY, NOBODY, NOBODY) }))
                .and_then(|_| answer(unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) })),
            "becoming somebody who is not root",
        )?;
    }
    let (reader, writer) = prepared(io::pipe(), "a pipe")?;
    let mut child = prepared(full(&writer).and_then(|()| start(program, writer)), program)?;
    let mut euid = None;
    for _ in 0..50 {
        sleep(Duration::from_millis(20));
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        // Real, effective, saved and of the file system.
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        euid = uids.and_then(|uids| uids.split_whitespace().nth(1)).map(str::to_owned);
        if euid.as_deref() == Some("0") {
            break;
        }
    }
    // Nobody reads its help: it ends.
    drop(reader);
    let _ = child.kill();
    let _ = child.wait();
    match euid.as_deref() {
        Some("0") => Ok(format!("{program} ran with the euid 0")),
        Some(other) => contained(format!("{program} ran with the euid {other}")),
        None => unavailable("its euid could not be seen"),
    }
}

/// Fills a pipe to the brim, and leaves it waiting.
fn full(mut writer: &io::PipeWriter) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let number = writer.as_raw_fd();
    // SAFETY: it sets the flags of our own descriptor.
    answer(unsafe { libc::fcntl(number, libc::F_SETFL, libc::O_NONBLOCK) })?;
    while writer.write(&[b'.'; 512]).is_ok() {}
    while writer.write(b".").is_ok() {}
    // SAFETY: as above.
    answer(unsafe { libc::fcntl(number, libc::F_SETFL, 0) })?;
    Ok(())
}

/// Its input is a pipe of our own too, for `/dev/null` need not be there.
fn start(program: &str, output: io::PipeWriter) -> io::Result<std::process::Child> {
    let mut command = Command::new(program);
    command.arg("--help").env_clear().stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
    command.spawn()
}
