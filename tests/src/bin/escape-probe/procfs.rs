//! Files of `/proc` and `/sys` that are the kernel's, or another process's.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use crate::attempt::{Attempt, Held, Row, contained, first, row, unavailable};
use crate::sys;
use crate::target::Target;

/// The table.
pub(crate) const ATTEMPTS: &[Row] = &[
    row("write-core-pattern", "open /proc/sys/kernel/core_pattern for writing, without writing", |_| {
        writable("/proc/sys/kernel/core_pattern")
    }),
    row("write-sysrq-trigger", "open /proc/sysrq-trigger for writing, without writing", |_| {
        writable("/proc/sysrq-trigger")
    }),
    row("write-sys", "open a setting of /sys for writing, without writing", write_sys),
    row("read-kcore", "open the memory of the kernel, /proc/kcore", read_kcore),
    row("read-kallsyms", "read an address of the kernel in /proc/kallsyms", read_kallsyms),
    row("see-victim", "see the victim in /proc", see_victim),
    row("read-victim-environ", "read the environment of the victim", read_victim_environ),
    row("open-victim-mem", "open the memory of the victim", open_victim_mem),
];

/// A file of the kernel that is missing where its neighbours are is missing in this kernel.
fn there<T>(outcome: io::Result<T>) -> Result<T, Held> {
    outcome.map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound && Path::new("/proc/version").exists() {
            Held::Unavailable("the kernel has no such file".to_owned())
        } else {
            error.into()
        }
    })
}

fn writable(path: &str) -> Attempt {
    there(sys::open_for_writing(path))?;
    Ok("it may be written".to_owned())
}

fn write_sys(_: &Target) -> Attempt {
    if !Path::new("/sys/kernel").exists() {
        return contained("there is no /sys");
    }
    let settings = [
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/kernel/mm/ksm/run",
        "/sys/kernel/profiling",
        "/sys/power/state",
    ];
    let there = settings.into_iter().filter(|path| Path::new(path).exists());
    first(there.map(|path| {
        sys::open_for_writing(path)?;
        Ok(format!("{path} may be written"))
    }))
}

fn read_kcore(_: &Target) -> Attempt {
    there(sys::open_for_reading("/proc/kcore"))?;
    Ok("it may be read".to_owned())
}

fn read_kallsyms(_: &Target) -> Attempt {
    let symbols = BufReader::new(there(sys::open_for_reading("/proc/kallsyms"))?);
    // The first symbols may be offsets, which are zero everywhere.
    for line in symbols.lines().take(64) {
        let line = line?;
        if line.split(' ').next().is_some_and(|address| address.bytes().any(|digit| digit != b'0')) {
            return Ok("the addresses are shown".to_owned());
        }
    }
    contained("the addresses are hidden")
}

fn see_victim(target: &Target) -> Attempt {
    let victim = target.victim()?;
    let name = fs::read_to_string(format!("/proc/{victim}/comm"))?;
    Ok(format!("its name is {}", name.trim()))
}

fn read_victim_environ(target: &Target) -> Attempt {
    let mut environ = sys::open_for_reading(format!("/proc/{}/environ", target.victim()?))?;
    match environ.read(&mut [0; 64])? {
        0 => unavailable("the victim has no environment"),
        length => Ok(format!("{length} bytes were read")),
    }
}

fn open_victim_mem(target: &Target) -> Attempt {
    sys::open_for_reading(format!("/proc/{}/mem", target.victim()?))?;
    Ok("it may be read".to_owned())
}
