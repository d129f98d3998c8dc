//! Devices: the whole disk and the whole memory lie behind them.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;

use crate::attempt::{Attempt, Held, Row, contained, prepared, row, unavailable};
use crate::sys::{self, c_path};
use crate::target::Target;

/// The table.
pub(crate) const ATTEMPTS: &[Row] = &[
    row("make-device", "make a device node in the workspace, and read from it", make_device),
    row("read-block-device", "read from a disk of the host", read_block_device),
    row("open-mem", "open /dev/mem for reading", open_mem),
    row("open-kmsg", "open /dev/kmsg for writing, without writing", open_kmsg),
];

/// Makes a node and opens it, then removes it.
fn with_node(target: &Target, kind: libc::mode_t, major: u32, minor: u32) -> Result<Result<fs::File, io::Error>, Held> {
    let place = target.place("node")?;
    let name = c_path(&place);
    // SAFETY: the path outlives the call.
    sys::answer(unsafe { libc::mknod(name.as_ptr(), kind | 0o600, libc::makedev(major, minor)) })?;
    let opened = sys::open_for_reading(&place);
    let _ = fs::remove_file(&place);
    Ok(opened)
}

fn make_device(target: &Target) -> Attempt {
    // /dev/zero: harmless, and it proves that the node is a device.
    let mut byte = [1];
    match with_node(target, libc::S_IFCHR, 1, 5)? {
        Ok(mut zero) => zero.read_exact(&mut byte)?,
        Err(error) => return contained(format!("it was made but cannot be opened: {error}")),
    }
    Ok("the device answered".to_owned())
}

/// A disk that has a node in `/dev`, otherwise one that the kernel names, through a node of our own.
fn read_block_device(target: &Target) -> Attempt {
    let partitions = prepared(fs::read_to_string("/proc/partitions"), "the disks of the kernel");
    let mut held = None;
    for entry in fs::read_dir("/dev").into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_block_device()) {
            match sys::open_for_reading(entry.path()).and_then(|mut disk| disk.read(&mut [0; 512])) {
                Ok(length @ 1..) => return Ok(format!("{length} bytes of {}", entry.path().display())),
                Ok(_) => {}
                Err(error) => held = held.or(Some(Held::from(error))),
            }
        }
    }
    if let Some(held) = held {
        return Err(held);
    }
    let partitions = partitions?;
    let disk = partitions.lines().skip(2).find_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    });
    let Some((major, minor)) = disk else { return unavailable("the kernel has no disk") };
    let length = with_node(target, libc::S_IFBLK, major, minor)??.read(&mut [0; 512])?;
    Ok(format!("{length} bytes through a node of our own"))
}

fn open_mem(target: &Target) -> Attempt {
    match sys::open_for_reading("/dev/mem") {
        Ok(_) => return Ok("it may be read".to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        Err(_) => {}
    }
    match with_node(target, libc::S_IFCHR, 1, 1)? {
        Ok(_) => Ok("it may be read through a node of our own".to_owned()),
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => unavailable("the kernel has no /dev/mem"),
        Err(error) => Err(error.into()),
    }
}

fn open_kmsg(_: &Target) -> Attempt {
    sys::open_for_writing("/dev/kmsg")?;
    Ok("it may be written".to_owned())
}
