//! System calls that an agent does not need. What would do harm gets arguments that are refused last.

use std::fs;
use std::os::fd::AsRawFd as _;

use crate::attempt::{Attempt, Row, contained, first, granted, row, unavailable};
use crate::sys::{self, answer, call, owned};
use crate::target::Target;

/// The table.
pub(crate) const ATTEMPTS: &[Row] = &[
    row("add-key", "add a key to the keyring of the user", add_key),
    row("request-key", "search the keyrings for a key that nobody has", request_key),
    row("io-uring", "set up an io_uring", io_uring),
    row("bpf", "load a BPF program that does nothing", bpf),
    row("perf-event", "count the events of this process", perf_event),
    row("userfaultfd", "handle page faults in the program", userfaultfd),
    row("personality", "set the personality, to fixed addresses", personality),
    row("kexec", "kexec_load with flags that do not exist", kexec),
    row("load-module", "init_module without a module", load_module),
    row("set-hostname", "sethostname to the name that it has", set_hostname),
    row("set-time", "settimeofday to a time zone that does not exist", set_time),
    row("reboot", "reboot with the wrong magic numbers", reboot),
    row("swapon", "swapon of a file that does not exist", swapon),
    row("read-kernel-log", "read the log of the kernel", kernel_log),
    row("type-into-terminal", "ioctl TIOCSTI on the terminal, without a byte", type_into_terminal),
    row("paste-into-console", "ioctl TIOCLINUX on a console, without a request", paste_into_console),
    row("call-32-bit", "a harmless call through the gate of 32-bit programs", call_32_bit),
];

/// `KEY_SPEC_USER_KEYRING`: all processes of the uid share it.
const USER_KEYRING: libc::c_long = -4;
/// `KEYCTL_UNLINK`.
const UNLINK: libc::c_long = 9;

fn add_key(_: &Target) -> Attempt {
    let (kind, name, text) = (c"user", c"agentd-probe", b"agentd-probe");
    let key = call!(SYS_add_key, kind.as_ptr(), name.as_ptr(), text.as_ptr(), text.len(), USER_KEYRING)?;
    let _ = call!(SYS_keyctl, UNLINK, key, USER_KEYRING);
    Ok("a key was added".to_owned())
}

fn request_key(_: &Target) -> Attempt {
    let none = std::ptr::null::<libc::c_char>();
    let outcome = call!(SYS_request_key, c"user".as_ptr(), c"agentd-probe-nobody".as_ptr(), none, 0);
    granted(outcome, &[libc::ENOKEY])
}

fn io_uring(_: &Target) -> Attempt {
    // The parameters are 120 bytes; zero asks for nothing special.
    let mut parameters = [0_u64; 15];
    owned(call!(SYS_io_uring_setup, 1, &raw mut parameters)?)?;
    Ok("it was set up".to_owned())
}

fn bpf(_: &Target) -> Attempt {
    /// The head of the arguments of `BPF_PROG_LOAD`.
    #[repr(C)]
    struct Load {
        kind: u32,
        instructions: u32,
        program: u64,
        licence: u64,
        rest: [u64; 13],
    }
    // r0 = 0; exit.
    let program: [u64; 2] = [0x0000_0000_0000_00b7, 0x0000_0000_0000_0095];
    let licence = c"GPL";
    let load = Load {
        kind: 1,
        instructions: 2,
        program: program.as_ptr().addr() as u64,
        licence: licence.as_ptr().addr() as u64,
        rest: [0; 13],
    };
    owned(call!(SYS_bpf, 5, &raw const load, size_of::<Load>())?)?;
    Ok("it was loaded".to_owned())
}

fn perf_event(_: &Target) -> Attempt {
    // A software event (1) of 64 bytes, the clock of the task (1), without the kernel's share.
    let attributes: [u64; 8] = [1 | 64 << 32, 1, 0, 0, 0, 1 << 5 | 1 << 6, 0, 0];
    owned(call!(SYS_perf_event_open, &raw const attributes, 0, -1, -1, 0)?)?;
    Ok("they are counted".to_owned())
}

fn userfaultfd(_: &Target) -> Attempt {
    /// `UFFD_USER_MODE_ONLY`: the little that everybody may have.
    const USER_MODE_ONLY: i32 = 1;
    owned(call!(SYS_userfaultfd, libc::O_CLOEXEC | USER_MODE_ONLY)?)?;
    Ok("it was opened".to_owned())
}

fn personality(_: &Target) -> Attempt {
    call!(SYS_personality, libc::ADDR_NO_RANDOMIZE)?;
    Ok("it was set".to_owned())
}

fn kexec(_: &Target) -> Attempt {
    // More segments than there may be, too: none would unload what is loaded.
    granted(call!(SYS_kexec_load, 0, 0x1_0000, 0, 0xffff), &[libc::EINVAL, libc::EADDRNOTAVAIL])
}

fn load_module(_: &Target) -> Attempt {
    granted(call!(SYS_init_module, 0, 0, c"".as_ptr()), &[libc::ENOEXEC, libc::EFAULT, libc::EINVAL])
}

fn set_hostname(target: &Target) -> Attempt {
    let mut name = [0_u8; 65];
    // SAFETY: the name fits, and is set to what it was.
    unsafe {
        answer(libc::gethostname(name.as_mut_ptr().cast(), name.len()))?;
        let length = name.iter().position(|byte| *byte == 0).unwrap_or(name.len() - 1);
        answer(libc::sethostname(name.as_ptr().cast(), length))?;
    }
    if target.shares("self", "uts") {
        Ok("it was set".to_owned())
    } else {
        contained("it was set in a namespace of our own")
    }
}

fn set_time(_: &Target) -> Attempt {
    // More than fifteen hours west of Greenwich there is nothing; without a time, only this is looked at.
    let zone = [16 * 60_i32, 0];
    let none = std::ptr::null::<libc::timeval>();
    granted(call!(SYS_settimeofday, none, &raw const zone), &[libc::EINVAL])
}

fn reboot(_: &Target) -> Attempt {
    granted(call!(SYS_reboot, 0, 0, 0, 0), &[libc::EINVAL])
}

fn swapon(_: &Target) -> Attempt {
    granted(call!(SYS_swapon, c"/proc/agentd-probe-nothing".as_ptr(), 0), &[libc::ENOENT])
}

fn kernel_log(_: &Target) -> Attempt {
    /// `SYSLOG_ACTION_READ_ALL`: it takes nothing out.
    const READ_ALL: i32 = 3;
    let mut text = [0_u8; 64];
    let length = call!(SYS_syslog, READ_ALL, text.as_mut_ptr(), text.len())?;
    Ok(format!("{length} bytes were read"))
}

/// A request on every terminal that opens, without an argument: `EFAULT` comes after the permission.
fn on_terminals(paths: &[&str], request: libc::Ioctl) -> Attempt {
    let opened: Vec<fs::File> = paths.iter().filter_map(|path| sys::open_for_reading(path).ok()).collect();
    // SAFETY: it only asks.
    let inherited = (0..3).filter(|number| unsafe { libc::isatty(*number) } == 1);
    first(inherited.chain(opened.iter().map(fs::File::as_raw_fd)).map(|terminal| {
        // SAFETY: the kernel refuses the null pointer.
        let outcome = answer(unsafe { libc::ioctl(terminal, request, std::ptr::null::<u8>()) });
        granted(outcome, &[libc::EFAULT])
    }))
}

fn type_into_terminal(_: &Target) -> Attempt {
    on_terminals(&["/dev/tty"], libc::TIOCSTI)
}

fn paste_into_console(_: &Target) -> Attempt {
    let has_consoles = fs::read_to_string("/proc/devices").is_ok_and(|devices| devices.contains("/dev/vc/0"));
    if !has_consoles {
        return unavailable("the kernel has no consoles");
    }
    let consoles = ["/dev/tty", "/dev/tty0", "/dev/tty1", "/dev/console"];
    if !consoles.iter().any(|path| sys::open_for_reading(path).is_ok()) {
        return contained("no console can be opened");
    }
    on_terminals(&consoles, libc::TIOCLINUX)
}

/// A filter that looks at the numbers of 64-bit calls alone lets everything through here.
#[cfg(target_arch = "x86_64")]
fn call_32_bit(_: &Target) -> Attempt {
    /// `getpid` of a 32-bit program.
    const GETPID: i32 = 20;
    let mut answer = GETPID;
    // SAFETY: the call reads and writes nothing. Where there is no such gate, this child ends.
    unsafe { std::arch::asm!("int 0x80", inout("eax") answer, options(nostack)) };
    if answer.cast_unsigned() == sys::pid() {
        Ok("the gate answers".to_owned())
    } else {
        contained(format!("the gate answers {answer}"))
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn call_32_bit(_: &Target) -> Attempt {
    unavailable("there is no such gate on this processor")
}
