//! Whether the users of runs get to what they need: their folder, and the programs that confine them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::runner::Host;

/// Why the users of runs, who are in no group, cannot get there, and what helps; none where they can, or where runs have no
/// users of their own. A launcher that is a service has places of its own.
pub(super) fn closed(host: &Host) -> Option<String> {
    if host.uids.is_none() || host.launcher.is_some() {
        return None;
    }
    let needed = [("the folder of runs", &host.runs), ("agentd-launch", &host.launch), ("agentd-shim", &host.shim)];
    needed.into_iter().find_map(|(what, place)| {
        let above = place.ancestors().skip(1).find(|above| is_shut(above))?;
        Some(format!(
            "{what} is below {}, which users of runs may not pass: chmod o+x {0}, or take another place (agentd --state \
             /var/lib/agentd, programs in /usr/local/bin)",
            above.display()
        ))
    })
}

/// What is not there is made by the daemon, and open.
fn is_shut(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 == 0)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir_all, set_permissions};

    use agentd_schemas::launch::RUN_UIDS;

    use super::*;
    use crate::runner::{UidRange, trial_host};
    use crate::sys::scratch::Scratch;

    #[test]
    fn a_folder_that_lets_nobody_pass_is_named_with_what_is_below_it() {
        let scratch = Scratch::new();
        let (closed_to, open) = (scratch.path().join("closed"), scratch.path().join("open"));
        for folder in [scratch.path(), &closed_to.join("in"), &open] {
            create_dir_all(folder).unwrap();
            set_permissions(folder, Permissions::from_mode(0o711)).unwrap();
        }
        set_permissions(&closed_to, Permissions::from_mode(0o700)).unwrap();
        let of = |runs: &Path, shim: &Path| Host {
            runs: runs.to_owned(),
            launch: open.join("agentd-launch"),
            shim: shim.to_owned(),
            uids: Some(UidRange { first: *RUN_UIDS.start(), count: 9 }),
            ..trial_host()
        };
        let host = of(&open.join("runs"), &open.join("agentd-shim"));
        assert_eq!(closed(&host), None);
        let told = closed(&of(&closed_to.join("in/runs"), &open.join("agentd-shim"))).unwrap();
        let words = format!("the folder of runs is below {}, which users of runs may not pass", closed_to.display());
        assert!(told.starts_with(&words) && told.contains("chmod o+x"), "{told}");
        let told = closed(&of(&open.join("runs"), &closed_to.join("in/agentd-shim"))).unwrap();
        assert!(told.starts_with("agentd-shim is below"), "{told}");
        assert_eq!(closed(&Host { uids: None, ..host }), None, "runs have the daemon's own user");
    }
}
