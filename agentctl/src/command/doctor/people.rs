//! What people need around an agentd of their own: lingering.

use std::path::Path;

use super::Check;
use crate::ambient;

/// Where logind has a file for each user that lingers.
const LINGERING: &str = "/var/lib/systemd/linger";

/// Whether the runs of a person's own agentd outlive the person's sessions; `None` where logind does not decide.
pub(super) fn lingering(mode: &str) -> Option<Check> {
    let user = ambient::text("USER").or_else(|| ambient::text("LOGNAME"))?;
    let ends = mode == "session" && Path::new("/run/systemd/system").exists();
    ends.then(|| lingers(&user, Path::new(LINGERING).join(&user).exists()))
}

fn lingers(user: &str, lingers: bool) -> Check {
    if lingers {
        return Check::ok("lingering", format!("agentd of {user} and its runs go on after the last logout"));
    }
    Check::warn(
        "lingering",
        format!("agentd of {user} and its runs end with the last logout, and begin with the next login"),
        "loginctl enable-linger",
    )
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn who_does_not_linger_is_told_when_runs_end_and_how_to_go_on() {
        let check = lingers("alice", false);
        assert_eq!((check.verdict, check.fix.as_deref()), (Verdict::Warn, Some("loginctl enable-linger")));
        assert!(check.detail.contains("last logout"), "{check:?}");
        assert_eq!(lingers("alice", true).verdict, Verdict::Ok);
    }
}
