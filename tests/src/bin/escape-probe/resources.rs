//! Limits. Every attempt stops right above the limit that its argument names.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::attempt::{Attempt, Row, contained, first, prepared, row, unavailable};
use crate::sys::{self, answer};
use crate::target::{Target, need};

/// The table.
pub(crate) const ATTEMPTS: &[Row] = &[
    row("raise-open-files", "raise the hard limit of open files", raise_open_files),
    row("large-file", "write a file above --file-bytes, all but its last byte a hole", large_file),
    row("core-dump", "find that the memory could be dumped into a file", core_dump),
    row("write-cgroup", "open a cgroup.procs for writing, without writing", write_cgroup),
    row("make-cgroup", "make a cgroup", make_cgroup),
    row("many-tasks", "start --tasks and eight more processes that sleep", many_tasks),
    row("much-memory", "touch --memory bytes", much_memory),
];

fn limit(resource: libc::__rlimit_resource_t) -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call fills what it is given.
    answer(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    Ok(limit)
}

fn raise_open_files(_: &Target) -> Attempt {
    let now = limit(libc::RLIMIT_NOFILE)?;
    if now.rlim_max == libc::RLIM_INFINITY {
        return Ok("there is no limit".to_owned());
    }
    let more = libc::rlimit { rlim_cur: now.rlim_cur, rlim_max: now.rlim_max + 1 };
    // SAFETY: it concerns this child alone.
    answer(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const more) })?;
    Ok(format!("{} became {}", now.rlim_max, more.rlim_max))
}

fn large_file(target: &Target) -> Attempt {
    let bytes = *need(target.file_bytes.as_ref(), "--file-bytes")?;
    let place = target.place("large")?;
    let file = prepared(OpenOptions::new().write(true).create_new(true).open(&place), "a file in the workspace")?;
    // A signal would end this child before the file is removed; without it, the call only fails.
    // SAFETY: no handler is set.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let outcome = file.write_all_at(b".", bytes);
    let _ = fs::remove_file(&place);
    outcome?;
    Ok(format!("it had {} bytes", bytes.saturating_add(1)))
}

fn core_dump(_: &Target) -> Attempt {
    let limit = limit(libc::RLIMIT_CORE)?;
    // SAFETY: it only asks.
    let dumpable = unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) };
    if limit.rlim_max == 0 {
        contained("the hard limit is 0")
    } else if dumpable == 0 {
        contained("the process is not dumpable")
    } else {
        Ok(format!("the hard limit is {}", limit.rlim_max))
    }
}

/// The root of every hierarchy of cgroups, and where we are in it.
fn cgroups() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let mut folders = vec![root.to_owned()];
    folders.extend(fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()));
    for line in fs::read_to_string("/proc/self/cgroup").unwrap_or_default().lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        if let (Some(name), Some(path)) = (parts.next(), parts.next()) {
            let name = name.strip_prefix("name=").unwrap_or(name);
            folders.push(root.join(name).join(path.trim_start_matches('/')));
        }
    }
    folders.retain(|folder| folder.join("cgroup.procs").exists());
    folders
}

fn write_cgroup(_: &Target) -> Attempt {
    let folders = cgroups();
    if folders.is_empty() {
        return contained("no cgroup is in sight");
    }
    first(folders.into_iter().map(|folder| {
        let path = folder.join("cgroup.procs");
        sys::open_for_writing(&path)?;
        Ok(format!("{} may be written", path.display()))
    }))
}

fn make_cgroup(_: &Target) -> Attempt {
    let folders = cgroups();
    if folders.is_empty() {
        return contained("no cgroup is in sight");
    }
    first(folders.into_iter().map(|folder| {
        let path = folder.join(format!("agentd-probe-{}", sys::pid()));
        fs::create_dir(&path)?;
        let _ = fs::remove_dir(&path);
        Ok(format!("{} was made", path.display()))
    }))
}

fn many_tasks(target: &Target) -> Attempt {
    let wanted = need(target.tasks, "--tasks")?.saturating_add(8);
    let mut children = Vec::new();
    let mut refusal = None;
    while children.len() < wanted && refusal.is_none() {
        // SAFETY: this child has one thread; what it starts only sleeps, and ends with it.
        match unsafe { libc::fork() } {
            -1 => refusal = Some(io::Error::last_os_error()),
            0 => unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::alarm(30);
                loop {
                    libc::pause();
                }
            },
            child => children.push(child),
        }
    }
    for child in &children {
        // SAFETY: they are our own and not yet waited for.
        unsafe { libc::kill(*child, libc::SIGKILL) };
    }
    for child in &children {
        // SAFETY: as above.
        unsafe { libc::waitpid(*child, std::ptr::null_mut(), 0) };
    }
    match refusal {
        None => Ok(format!("{wanted} were started")),
        Some(error) => contained(format!("{} were started, then: {error}", children.len())),
    }
}

fn much_memory(target: &Target) -> Attempt {
    let bytes = need(target.memory, "--memory")?;
    // Where memory runs out, this child is what ends.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: new memory, of which every page is written within its bounds.
    unsafe {
        let start = libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error().into());
        }
        for offset in (0..bytes).step_by(4096) {
            start.cast::<u8>().add(offset).write_volatile(1);
        }
    }
    if bytes == 0 { unavailable("--memory is 0") } else { Ok(format!("{bytes} bytes were touched")) }
}
