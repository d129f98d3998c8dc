//! Which hierarchies of control groups there are, and where this process is in each.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Bytes of a list of the kernel that are read. A host with many containers has many mounts.
const LIST_BYTES: u64 = 4 << 20;

/// One hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// Version 2.
    pub(super) unified: bool,
    /// Its controllers in version 1; of version 2 each group says which it has.
    pub(super) controllers: Vec<String>,
    /// Where it is mounted.
    pub(super) mount: PathBuf,
    /// The group of this process.
    pub(super) own: PathBuf,
}

/// All that are mounted where this process sees its own group in them.
pub(super) fn all() -> io::Result<Vec<Hierarchy>> {
    Ok(read(&list("/proc/self/cgroup")?, &list("/proc/self/mountinfo")?))
}

fn list(path: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LIST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// A mount of control groups: the group that is its root, its place, and what the kernel says of it.
struct Mounted<'a> {
    unified: bool,
    root: &'a str,
    place: &'a str,
    options: Vec<&'a str>,
}

fn read(groups: &str, mounts: &str) -> Vec<Hierarchy> {
    let mounted: Vec<Mounted<'_>> = mounts.lines().filter_map(mount).collect();
    groups.lines().filter_map(|line| hierarchy(line, &mounted)).collect()
}

/// proc_pid_mountinfo(5). A place with a space in it is written with a backslash, and is not where control groups are.
fn mount(line: &str) -> Option<Mounted<'_>> {
    let (head, tail) = line.split_once(" - ")?;
    let mut tail = tail.split(' ');
    let kind = tail.next()?;
    let options = tail.nth(1)?.split(',').collect();
    let mut head = head.split(' ').skip(3);
    let (root, place) = (head.next()?, head.next()?);
    let known = ["cgroup", "cgroup2"].contains(&kind) && !place.contains('\\');
    known.then_some(Mounted { unified: kind == "cgroup2", root, place, options })
}

/// `ID:CONTROLLERS:PATH` of cgroups(7); no controllers are version 2.
fn hierarchy(line: &str, mounted: &[Mounted<'_>]) -> Option<Hierarchy> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    let controllers: Vec<&str> = controllers.split(',').filter(|name| !name.is_empty()).collect();
    let unified = controllers.is_empty();
    let fits =
        |mount: &&Mounted<'_>| mount.unified == unified && controllers.iter().all(|name| mount.options.contains(name));
    // A group above the root of this process's namespace is shown with `..`, and is out of reach.
    let below = |mount: &Mounted<'_>| {
        let rest = Path::new(path).strip_prefix(mount.root).ok()?;
        let plain = rest.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        plain.then(|| (PathBuf::from(mount.place), Path::new(mount.place).join(rest)))
    };
    let (mount, own) = mounted.iter().filter(fits).find_map(below)?;
    Some(Hierarchy { unified, controllers: controllers.into_iter().map(str::to_owned).collect(), mount, own })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct
33 31 0:32 /docker/x /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
42 31 0:39 / /odd\\040place rw - cgroup cgroup rw,pids
";

    #[test]
    fn each_hierarchy_that_is_mounted_is_found_with_the_own_group_in_it() {
        let groups = "9:pids:/\n5:memory:/docker/x/deep\n4:cpu,cpuacct:/a:b\n1:name=systemd:/\n0::/user.slice/s\n";
        let found = read(groups, MOUNTS);
        let own: Vec<_> = found.iter().map(|found| (found.unified, found.own.to_str().unwrap())).collect();
        let expected = [
            (false, "/sys/fs/cgroup/memory/deep"),
            (false, "/sys/fs/cgroup/cpu,cpuacct/a:b"),
            (true, "/sys/fs/cgroup/unified/user.slice/s"),
        ];
        assert_eq!(own, expected);
        assert_eq!(found[1].controllers, ["cpu", "cpuacct"]);
    }

    #[test]
    fn a_group_outside_of_the_namespace_is_none() {
        assert!(read("0::/../other\n5:memory:/elsewhere\n", MOUNTS).is_empty());
        assert!(read("", "").is_empty());
        assert!(read("no line\n:\n", "no - mount\n - \n").is_empty());
    }
}
