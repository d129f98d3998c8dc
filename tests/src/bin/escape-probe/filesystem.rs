//! Files of the host: reading the secret on every way that leads to it, and writing outside the workspace.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use crate::attempt::{Attempt, Row, contained, first, prepared, row};
use crate::sys::{self, c_path, call, owned};
use crate::target::{Target, need};

/// The table.
pub(crate) const ATTEMPTS: &[Row] = &[
    row("read-secret", "read a file of the host outside the workspace", read_secret),
    row("read-secret-self-root", "the same through /proc/self/root", |target| through(target, "/proc/self/root")),
    row("read-secret-init-root", "the same through /proc/1/root", |target| through(target, "/proc/1/root")),
    row("read-secret-victim-root", "the same through /proc/VICTIM/root", read_victim_root),
    row("read-secret-victim-cwd", "the same through /proc/VICTIM/cwd", read_victim_cwd),
    row("read-secret-hard-link", "hard link it into the workspace, and read that", read_hard_link),
    row("read-secret-symlink", "link to it symbolically from the workspace, and read that", read_symlink),
    row("open-by-handle", "open it, or the root of the workspace's file system, by its handle", open_by_handle),
    row("write-outside", "make a file in a directory of the host", write_outside),
    row("rename-out", "rename a file of the workspace into a directory of the host", rename_out),
    row("write-etc", "make a file in /etc", |target| write(target, Path::new("/etc"))),
    row("write-usr", "make a file in /usr", |target| write(target, Path::new("/usr"))),
    row("read-shadow", "open /etc/shadow for reading, without reading it", read_shadow),
    row("list-home", "list a home directory of the host", list_home),
    row("set-uid-file", "make a set-uid file in the workspace where the bit would be honoured", set_uid_file),
];

/// Reads what should be the secret: only its content proves it.
fn reveals(mut file: File, canary: &str) -> Attempt {
    let mut text = Vec::new();
    file.by_ref().take(1 << 20).read_to_end(&mut text)?;
    if String::from_utf8_lossy(&text).contains(canary) {
        Ok("the canary was read".to_owned())
    } else {
        contained("another file is at that path")
    }
}

fn read_secret(target: &Target) -> Attempt {
    let (secret, canary) = target.secret()?;
    reveals(sys::open_for_reading(secret)?, canary)
}

/// The secret below another name of a root directory.
fn through(target: &Target, root: &str) -> Attempt {
    let (secret, canary) = target.secret()?;
    reveals(sys::open_for_reading(format!("{root}{}", secret.display()))?, canary)
}

fn read_victim_root(target: &Target) -> Attempt {
    through(target, &format!("/proc/{}/root", target.victim()?))
}

fn read_victim_cwd(target: &Target) -> Attempt {
    // Above the root is the root, so that more steps than the directory is deep do no harm.
    through(target, &format!("/proc/{}/cwd{}", target.victim()?, "/..".repeat(32)))
}

fn read_hard_link(target: &Target) -> Attempt {
    let (secret, canary) = target.secret()?;
    let place = target.place("link")?;
    fs::hard_link(secret, &place)?;
    let outcome = sys::open_for_reading(&place).map_err(Into::into).and_then(|file| reveals(file, canary));
    let _ = fs::remove_file(&place);
    outcome
}

fn read_symlink(target: &Target) -> Attempt {
    let (secret, canary) = target.secret()?;
    let place = target.place("symlink")?;
    prepared(symlink(secret, &place), "a symbolic link in the workspace")?;
    let outcome = sys::open_for_reading(&place).map_err(Into::into).and_then(|file| reveals(file, canary));
    let _ = fs::remove_file(&place);
    outcome
}

/// A file handle with room for the largest that a file system makes.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    data: [u8; libc::MAX_HANDLE_SZ as usize],
}

/// The way out of early containers: a handle needs no path, and the root of most file systems has a known inode.
fn open_by_handle(target: &Target) -> Attempt {
    let (secret, canary) = target.secret()?;
    let workspace = need(target.workspace.as_ref(), "--workspace")?;
    let mount = prepared(File::open(workspace), "the workspace")?;
    let of_secret = handle_of(secret).map_err(Into::into).and_then(|handle| {
        // A handle is opened relative to a mount of its file system, which the secret itself stands for.
        let beside = secret.parent().map_or_else(|| File::open("/"), File::open)?;
        reveals(open_handle(&beside, &handle)?, canary)
    });
    let of_root = || {
        // An inode and a generation, each of four bytes: what ext4 makes and many take.
        let mut handle = Handle { bytes: 8, kind: 1, data: [0; libc::MAX_HANDLE_SZ as usize] };
        handle.data[..4].copy_from_slice(&2_u32.to_ne_bytes());
        match open_handle(&mount, &handle) {
            // Another kind of file system: the permission came first, and only what we made up was refused.
            Err(error) if error.raw_os_error() == Some(libc::ESTALE) && target.is_of_the_host(workspace) => {
                Ok("permission was granted, only the handle was refused".to_owned())
            }
            outcome => {
                outcome?;
                Ok("the root of the workspace's file system was opened".to_owned())
            }
        }
    };
    // What the workspace answers comes first: where the secret is out of sight, its handle tells nothing.
    first([of_root(), of_secret])
}

fn handle_of(path: &Path) -> io::Result<Handle> {
    let mut handle = Handle { bytes: 128, kind: 0, data: [0; libc::MAX_HANDLE_SZ as usize] };
    let mut mount = 0_i32;
    let path = c_path(path);
    call!(SYS_name_to_handle_at, libc::AT_FDCWD, path.as_ptr(), &raw mut handle, &raw mut mount, 0)?;
    Ok(handle)
}

fn open_handle(mount: &File, handle: &Handle) -> io::Result<File> {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    owned(call!(SYS_open_by_handle_at, mount.as_raw_fd(), &raw const *handle, flags)?).map(File::from)
}

/// Makes a file that was not there, and removes it. A directory of our own at the same path is not the host's.
fn write(target: &Target, folder: &Path) -> Attempt {
    let path = folder.join(format!("agentd-probe-file-{}", sys::pid()));
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    let of_the_host = target.is_of_the_host(&path);
    let _ = fs::remove_file(&path);
    if of_the_host {
        Ok(format!("{} was made", path.display()))
    } else {
        contained(format!("{} was made, on a file system that is not the host's", path.display()))
    }
}

fn write_outside(target: &Target) -> Attempt {
    write(target, need(target.outside.as_ref(), "--outside")?)
}

fn rename_out(target: &Target) -> Attempt {
    let outside = need(target.outside.as_ref(), "--outside")?;
    let from = target.place("rename")?;
    prepared(fs::write(&from, "agentd-probe\n"), "a file in the workspace")?;
    let to = outside.join(format!("agentd-probe-renamed-{}", sys::pid()));
    let outcome = fs::rename(&from, &to);
    let of_the_host = target.is_of_the_host(&to);
    let _ = fs::remove_file(if outcome.is_ok() { &to } else { &from });
    outcome?;
    if of_the_host {
        Ok(format!("it became {}", to.display()))
    } else {
        contained("it went to a file system that is not the host's")
    }
}

fn read_shadow(target: &Target) -> Attempt {
    let path = Path::new("/etc/shadow");
    sys::open_for_reading(path)?;
    if target.is_of_the_host(path) {
        Ok("it may be read".to_owned())
    } else {
        contained("a file that is not the host's may be read")
    }
}

fn list_home(target: &Target) -> Attempt {
    let home = need(target.home.as_ref(), "--home")?;
    let entries = fs::read_dir(home)?.count();
    if target.is_of_the_host(home) {
        Ok(format!("it has {entries} entries"))
    } else {
        contained(format!("a directory that is not the host's has {entries} entries"))
    }
}

/// The bit means something where neither the mount nor the process forbids it.
fn set_uid_file(target: &Target) -> Attempt {
    let place = target.place("set-uid")?;
    prepared(fs::write(&place, "agentd-probe\n"), "a file in the workspace")?;
    let set = fs::set_permissions(&place, Permissions::from_mode(0o4755));
    let mode = fs::metadata(&place).map_or(0, |metadata| metadata.permissions().mode());
    let name: CString = c_path(&place);
    // SAFETY: all zero is a statvfs, which the call fills for a path that outlives it.
    let flags = unsafe {
        let mut about: libc::statvfs = std::mem::zeroed();
        sys::answer(libc::statvfs(name.as_ptr(), &raw mut about)).map(|_| about.f_flag)
    };
    let _ = fs::remove_file(&place);
    set?;
    // SAFETY: it only asks.
    let no_new_privileges = unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) } == 1;
    if mode & 0o4000 == 0 {
        contained("the bit was dropped")
    } else if prepared(flags, "the mount of the workspace")? & libc::ST_NOSUID != 0 {
        contained("the workspace is mounted nosuid")
    } else if no_new_privileges {
        contained("the process may gain no privileges")
    } else {
        Ok("the bit is set and would be honoured".to_owned())
    }
}
