//! A set of groups for one run: made by who may, given to the run's user as far as it needs them, removed.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::hierarchy::{self, Hierarchy};
use super::{CPU_PERIOD_US, Door, OURS, PROCS, PROGRAM, SHIM, processes, write};

/// The controllers that a run is bounded by.
const CONTROLLERS: &[&str] = &["memory", "pids", "cpu"];
/// How often groups are made that somebody removes meanwhile, because they are empty.
const MAKES: usize = 16;
/// How often what is left in a group is killed before it is given up.
const KILLS: usize = 500;
/// Between two of these.
const KILL_PAUSE: Duration = Duration::from_millis(10);

/// How much all processes of a run may use together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupLimits {
    /// Bytes of memory, swap included.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub tasks: u64,
    /// Percent of one processor.
    pub cpu_percent: Option<u32>,
}

/// Who freezes the processes of the set, and kills them. The limits, and who is in it, stay with who made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What the groups of a run are made below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// The group of who makes them, or the one above it.
    Launcher,
    /// The group of a unit in which who makes them is alone: it leaves that for the one of the parent, so that controllers can
    /// be handed down.
    OwnUnit,
}

/// The groups of one run, not entered yet.
#[derive(Debug, Default)]
pub struct Made {
    places: Vec<(Hierarchy, PathBuf)>,
}

/// Makes the groups of a step of a run in each hierarchy where that can be done. `run` and `step` are plain names.
///
/// # Errors
///
/// The step has groups with living processes in them already.
pub fn make(run: &str, step: &str, limits: &GroupLimits, owner: Option<Owner>, below: Below) -> io::Result<Made> {
    let mut made = Made::default();
    // The unified one is first: where it freezes, no other has to.
    let mut hierarchies = hierarchy::all().unwrap_or_default();
    hierarchies.sort_by_key(|hierarchy| !hierarchy.unified);
    let mut freezes = false;
    for hierarchy in hierarchies {
        if !hierarchy.unified && !wanted(&hierarchy, limits, freezes) {
            continue;
        }
        match make_in(&hierarchy, run, step, limits, owner, below) {
            Ok(place) => {
                freezes |= place.join(PROGRAM).join("cgroup.freeze").exists();
                made.places.push((hierarchy, place));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                made.undo();
                return Err(error);
            }
            // A host that lets none be made is a host without: what is missing is told by who looks for it.
            Err(_) => {}
        }
    }
    Ok(made)
}

fn wanted(hierarchy: &Hierarchy, limits: &GroupLimits, freezes: bool) -> bool {
    hierarchy.controllers.iter().any(|name| match name.as_str() {
        "memory" | "pids" => true,
        "cpu" => limits.cpu_percent.is_some(),
        // The unified one does both.
        "freezer" | "cpuacct" => !freezes,
        _ => false,
    })
}

fn make_in(
    hierarchy: &Hierarchy,
    run: &str,
    step: &str,
    limits: &GroupLimits,
    owner: Option<Owner>,
    below: Below,
) -> io::Result<PathBuf> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for parent in parents(hierarchy) {
        let place = parent.join(OURS).join(run).join(step);
        let mut filled = fill(hierarchy, &parent, &place, limits, owner, below);
        for _ in 1..MAKES {
            match &filled {
                // The last run of another launcher ended, and the group of all runs went with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound && parent.exists() => {
                    filled = fill(hierarchy, &parent, &place, limits, owner, below);
                }
                _ => break,
            }
        }
        match filled {
            Ok(()) => return Ok(place),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
            Err(error) => {
                let _ = remove_place(&place);
                last = error;
            }
        }
    }
    Err(last)
}

/// Below which groups a run may get its own, the best first. Never outside of what holds this process.
///
/// In version 2 a group with processes hands no controllers down. A service manager that gives a subtree away puts the
/// daemon into a leaf of its own in it, and then the group above is the one; a unit or a slice is never left.
fn parents(hierarchy: &Hierarchy) -> Vec<PathBuf> {
    let own = hierarchy.own.clone();
    let named = own.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let unit = [".service", ".scope", ".slice"].iter().any(|end| named.ends_with(end));
    if !hierarchy.unified || own == hierarchy.mount || unit {
        return vec![own];
    }
    let above = own.parent().filter(|above| processes(above).is_ok_and(|found| found.is_empty()));
    above.map(Path::to_owned).into_iter().chain([own.clone()]).collect()
}

fn fill(
    hierarchy: &Hierarchy,
    parent: &Path,
    place: &Path,
    limits: &GroupLimits,
    owner: Option<Owner>,
    below: Below,
) -> io::Result<()> {
    // An earlier step of this name may have left its empty groups.
    remove_place(place)?;
    let mut at = parent.to_owned();
    for part in place.strip_prefix(parent).unwrap_or(place).components() {
        if below == Below::Launcher {
            hand_down(hierarchy, &at);
        }
        at.push(part);
        match create(&at) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && at != place => {}
            done => done?,
        }
    }
    let (shim, program) = (place.join(SHIM), place.join(PROGRAM));
    create(&shim)?;
    create(&program)?;
    if below == Below::OwnUnit && hierarchy.unified {
        write(&shim, PROCS, "0")?;
        let mut above: Vec<&Path> = place.ancestors().skip(1).take_while(|above| above.starts_with(parent)).collect();
        above.reverse();
        for above in above {
            hand_down(hierarchy, above);
        }
    }
    hand_down(hierarchy, place);
    bound(hierarchy, &program, limits);
    let Some(owner) = owner else { return Ok(()) };
    let give = |path: PathBuf| chown(path, Some(owner.uid), Some(owner.gid));
    for file in ["cgroup.freeze", "cgroup.kill", "freezer.state"] {
        let path = program.join(file);
        if path.exists() {
            give(path)?;
        }
    }
    Ok(())
}

/// Makes a group that all may look into, whatever is private otherwise: the run's user has to find its own.
fn create(group: &Path) -> io::Result<()> {
    std::fs::create_dir(group)?;
    std::fs::set_permissions(group, Permissions::from_mode(0o755))
}

/// Lets the groups below have the controllers, each alone: one that is not there must not keep the others.
fn hand_down(hierarchy: &Hierarchy, group: &Path) {
    if hierarchy.unified {
        for controller in CONTROLLERS {
            let _ = write(group, "cgroup.subtree_control", &format!("+{controller}"));
        }
    }
}

/// Writes the limits. What the kernel took of them is read back by who is held.
fn bound(hierarchy: &Hierarchy, program: &Path, limits: &GroupLimits) {
    let memory = limits.memory_bytes.to_string();
    let quota = limits.cpu_percent.map(|percent| u64::from(percent) * CPU_PERIOD_US / 100);
    let mut wanted: Vec<(&str, String)> = vec![("pids.max", limits.tasks.to_string())];
    if hierarchy.unified {
        wanted.extend([("memory.max", memory), ("memory.swap.max", "0".to_owned())]);
        wanted.extend(quota.map(|quota| ("cpu.max", format!("{quota} {CPU_PERIOD_US}"))));
    } else {
        // Memory and swap together are never less than memory alone, so that is first.
        wanted.extend([("memory.limit_in_bytes", memory.clone()), ("memory.memsw.limit_in_bytes", memory)]);
        wanted.extend([("cpu.cfs_period_us", CPU_PERIOD_US.to_string())]);
        wanted.extend(quota.map(|quota| ("cpu.cfs_quota_us", quota.to_string())));
    }
    for (file, text) in wanted {
        let _ = write(program, file, &text);
    }
}

impl Made {
    /// The ways in.
    pub fn doors(&self) -> io::Result<Vec<Door>> {
        self.places.iter().map(|(_, place)| Door::open(place)).collect()
    }

    /// Removes the groups, which nobody is in.
    pub fn undo(&mut self) {
        for (_, place) in self.places.drain(..) {
            let _ = remove_place(&place);
            remove_empty_parents(&place);
        }
    }

    /// Each group of the set: whether it is of the unified hierarchy, the group below which the set was made, and that of
    /// the program.
    pub fn groups(&self) -> impl Iterator<Item = (bool, PathBuf, PathBuf)> {
        self.places.iter().map(|(hierarchy, place)| {
            let parent = place.ancestors().nth(3).unwrap_or(place);
            (hierarchy.unified, parent.to_owned(), place.join(PROGRAM))
        })
    }
}

/// Kills whoever is left in the groups of a run, and removes them. None are no error.
pub fn remove(run: &str) -> io::Result<()> {
    let mut failed = None;
    for hierarchy in hierarchy::all().unwrap_or_default() {
        for parent in parents(&hierarchy) {
            let of_run = parent.join(OURS).join(run);
            let Ok(steps) = std::fs::read_dir(&of_run) else { continue };
            for step in steps.flatten().filter(|step| step.file_type().is_ok_and(|kind| kind.is_dir())) {
                let place = step.path();
                let done = end(&place).and_then(|()| remove_place(&place));
                failed = failed.or(done.err());
                remove_empty_parents(&place);
            }
            let _ = std::fs::remove_dir(&of_run);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Kills until nobody is in the groups of a place.
fn end(place: &Path) -> io::Result<()> {
    let groups = [place.join(PROGRAM), place.join(SHIM)];
    for _ in 0..KILLS {
        let mut left = 0;
        for group in &groups {
            let found = match processes(group) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            left += found.len();
            if !found.is_empty() && write(group, "cgroup.kill", "1").is_err() {
                for pid in found {
                    let _ = rustix::process::kill_process(pid, Signal::KILL);
                }
                // Who is frozen by the older freezer dies when it goes on.
                let _ = write(group, "freezer.state", "THAWED");
            }
        }
        if left == 0 {
            return Ok(());
        }
        std::thread::sleep(KILL_PAUSE);
    }
    Err(io::Error::other(format!("processes in {} do not end", place.display())))
}

/// Removes the groups of one place. One with processes is an error: it is not removed.
fn remove_place(place: &Path) -> io::Result<()> {
    for group in [place.join(PROGRAM), place.join(SHIM), place.to_owned()] {
        match std::fs::remove_dir(&group) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                let text = format!("control group {} has processes of an earlier step", group.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The groups of the run and of all runs, where they have become empty.
fn remove_empty_parents(place: &Path) {
    for group in place.ancestors().skip(1).take(2) {
        if std::fs::remove_dir(group).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::scratch::Scratch;
    use super::*;

    fn hierarchy(scratch: &Scratch, own: &str, unified: bool) -> Hierarchy {
        let own = scratch.join(own);
        std::fs::create_dir_all(&own).unwrap();
        Hierarchy { unified, controllers: Vec::new(), mount: scratch.path().to_owned(), own }
    }

    #[test]
    fn a_run_is_below_what_holds_us_or_beside_a_leaf_that_was_made_for_us() {
        let scratch = Scratch::new();
        let at = |own: &str, unified| parents(&hierarchy(&scratch, own, unified));
        assert_eq!(at("a.slice/b.service", true), [scratch.join("a.slice/b.service")]);
        assert_eq!(at("a.slice", true), [scratch.join("a.slice")]);
        assert_eq!(at("x/y", false), [scratch.join("x/y")]);
        let leaf = scratch.join("a.slice/b.service/daemon");
        // As long as nobody is in the group above.
        std::fs::write(scratch.join("a.slice/b.service/cgroup.procs"), "").unwrap();
        assert_eq!(at("a.slice/b.service/daemon", true), [scratch.join("a.slice/b.service"), leaf.clone()]);
        std::fs::write(scratch.join("a.slice/b.service/cgroup.procs"), "17\n").unwrap();
        assert_eq!(at("a.slice/b.service/daemon", true), [leaf]);
    }

    #[test]
    fn a_second_step_makes_its_own_and_none_is_left_when_both_are_gone() {
        let scratch = Scratch::new();
        let limits = GroupLimits { memory_bytes: 1, tasks: 1, cpu_percent: None };
        let own = hierarchy(&scratch, "own.scope", true);
        let places =
            ["one", "two", "one"].map(|step| make_in(&own, "w-x.1", step, &limits, None, Below::Launcher).unwrap());
        assert_eq!(places[1], own.own.join("agentd/w-x.1/two"));
        assert!(places[1].join(SHIM).is_dir() && places[1].join(PROGRAM).is_dir());
        for place in &places {
            remove_place(place).unwrap();
            remove_empty_parents(place);
        }
        assert_eq!(std::fs::read_dir(&own.own).unwrap().count(), 0);
    }
}
