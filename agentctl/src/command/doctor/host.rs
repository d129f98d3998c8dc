//! What the daemon found out about its host: what counts for its runs, whatever the caller itself could have.

use std::path::Path;

use agentd_schemas::launch::{Level, Probe};
use agentd_schemas::problem::Code;
use agentd_schemas::view::{HostFindings, LauncherFinding, PolkitFinding};

use super::{Check, install, runs};
use crate::context::{Context, read};
use crate::error::Failure;

/// What has a daemon that the service manager runs try its host again.
const AGAIN: &str = "then: systemctl restart agentd";
/// Where polkit's descriptions of actions are.
const ACTIONS: &str = "/usr/share/polkit-1";

/// Asks the daemon.
pub(super) async fn checks(context: &Context) -> Vec<Check> {
    match asked(context).await {
        Ok(findings) => told(&findings),
        Err(failure) => vec![untold(&failure)],
    }
}

async fn asked(context: &Context) -> Result<HostFindings, Failure> {
    read(&context.host().await?.examine().await?)
}

/// What it did not tell is not looked for by other ways: what the caller finds is no finding of the daemon's.
fn untold(failure: &Failure) -> Check {
    if failure.code() == Code::Denied.as_str() {
        let fix = failure.hinted().unwrap_or("ask an operator to call agentctl doctor").to_owned();
        let detail = format!("you may not see what agentd found out about it: {}", failure.message());
        return Check::warn("host", detail, fix);
    }
    let fix = failure.hinted().unwrap_or("systemctl restart agentd").to_owned();
    Check::fail("host", format!("agentd does not say what it found out about it: {}", failure.message()), fix)
}

/// The findings, as checks.
fn told(findings: &HostFindings) -> Vec<Check> {
    let mut checks = Vec::new();
    checks.extend(findings.launcher.as_ref().map(launcher));
    match (&findings.probe, &findings.no_runs) {
        (Some(probe), None) => checks.extend(probed(findings, probe)),
        (_, Some(why)) => {
            let fix = if findings.launcher.is_some() {
                "journalctl -u agentd -u agentd-launch says more; agentd goes on trying"
            } else {
                "agentd-launch probe says more, as the user of agentd; agentd goes on trying"
            };
            checks.push(Check::fail("confinement", format!("no run can be started: {why}"), fix));
        }
        (None, None) => {
            let detail = "agentd is still trying what its host can do";
            checks.push(Check::warn("confinement", detail, "call it again: agentctl doctor"));
        }
    }
    checks.push(journal(findings.journal));
    checks.extend(findings.polkit.as_ref().map(polkit));
    checks.push(credentials(findings.kek.as_deref()));
    checks
}

fn probed(findings: &HostFindings, probe: &Probe) -> Vec<Check> {
    let mut checks = vec![confinement(findings, probe), users(findings), runs::landlock(probe)];
    // Where each run is a unit, systemd makes its group.
    checks.push(if findings.launcher.is_some() { groups(probe) } else { runs::groups(probe) });
    checks.push(runs::git(probe));
    checks
}

/// The strongest level that works, and why no stronger one does.
fn confinement(findings: &HostFindings, probe: &Probe) -> Check {
    let Some(level) = probe.strongest() else { return runs::level(probe) };
    let words = format!("level {} works", level.as_str());
    let reason = probe.levels.iter().filter(|tried| tried.level > level).find_map(|tried| tried.reason.as_deref());
    let Some(reason) = reason else { return Check::ok("confinement", words) };
    let detail = format!("{words}, and no stronger one: {reason}");
    let fix = match level {
        Level::Landlock if probe.bubblewrap.is_none() => format!("{}, {AGAIN}", install("bubblewrap")),
        _ => format!("journalctl -u agentd-launch says more; {AGAIN}"),
    };
    if level < findings.least_level {
        let least = findings.least_level.as_str();
        return Check::fail("confinement", format!("{detail}; runs.least_level is {least}, so works wait"), fix);
    }
    Check::warn("confinement", detail, fix)
}

fn users(findings: &HostFindings) -> Check {
    match findings.run_uids {
        Some((first, last)) => {
            Check::ok("users of runs", format!("each run has a user of its own, of uids {first} to {last}"))
        }
        None => Check::warn(
            "users of runs",
            "runs have the uid of agentd",
            "install agentd's package, whose launcher gives runs users of their own: systemctl enable --now agentd-launch.socket",
        ),
    }
}

/// At level unit the shim has looked that every limit holds. Else the level below says which do not.
fn groups(probe: &Probe) -> Check {
    let tried = |level| probe.levels.iter().find(|tried| tried.level == level && tried.works);
    if tried(Level::Unit).is_some() {
        return Check::ok("control groups", "memory, tasks and processor time of runs are bounded by their units");
    }
    let lacking = tried(Level::Strict).map(|tried| tried.lacking.join("; ")).filter(|lacking| !lacking.is_empty());
    let Some(lacking) = lacking else {
        return Check::ok("control groups", "the limits of runs are bounded by their units");
    };
    Check::warn(
        "control groups",
        lacking,
        "cat /sys/fs/cgroup/cgroup.controllers names what the kernel hands out; a container needs memory, pids and cpu \
         delegated by its runtime",
    )
}

fn launcher(found: &LauncherFinding) -> Check {
    let socket = found.socket.display();
    match &found.away {
        None => Check::ok("launcher", format!("is reached at {socket}")),
        Some(why) => Check::fail("launcher", why, "systemctl restart agentd-launch.socket"),
    }
}

fn journal(is_there: bool) -> Check {
    if is_there {
        return Check::ok("journal", "agentd writes to it, with fields: journalctl AGENT_ID=NAME");
    }
    let detail = "agentd writes to its stderr, so journalctl finds nothing by agents and works";
    let fix = "set log.to = \"journal\" in /etc/agentd/agentd.toml, then: systemctl restart agentd";
    Check::warn("journal", detail, fix)
}

fn polkit(found: &PolkitFinding) -> Check {
    let only_root = "only root may do what is for operators";
    if let Some(why) = &found.away {
        let detail = format!("agentd cannot ask it, so {only_root}: {why}");
        let is_installed = Path::new(ACTIONS).exists();
        let fix = if is_installed { "systemctl status polkit".to_owned() } else { install("polkitd") };
        return Check::fail("polkit", detail, fix);
    }
    if found.unknown.is_empty() {
        return Check::ok("polkit", "asks operators whether they are there");
    }
    let detail = format!("does not know {}, so {only_root} there", found.unknown.join(", "));
    Check::fail("polkit", detail, "install /usr/share/polkit-1/actions/org.agentd1.policy of agentd")
}

fn credentials(kek: Option<&str>) -> Check {
    match kek {
        Some(kek) => Check::ok("credentials", format!("private keys are encrypted under key-encryption key {kek}")),
        None => Check::warn(
            "credentials",
            "private keys are plain files of mode 0600 in the state directory",
            "agentd credentials provision, then: systemctl restart agentd",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn level(level: &str, works: bool, lacking: &[&str]) -> serde_json::Value {
        let reason = (!works).then(|| format!("level {level} does not hold"));
        serde_json::json!({ "level": level, "works": works, "reason": reason, "lacking": lacking })
    }

    fn findings(change: impl Fn(&mut serde_json::Value)) -> HostFindings {
        let mut findings = serde_json::json!({
            "probe": {
                "version": 1, "root": true, "uid": 2_100_999_999, "landlock_abi": 6, "user_namespaces": true,
                "bubblewrap": "/usr/bin/bwrap", "git": "/usr/bin/git", "control_groups": [],
                "levels": [level("landlock", true, &[]), level("strict", true, &[]), level("unit", true, &[])],
            },
            "least_level": "strict", "run_uids": [2_100_000_000, 2_100_999_999],
            "launcher": { "socket": "/run/agentd/launch.sock" }, "journal": true, "polkit": {}, "kek": "66687aadf862bd77",
        });
        change(&mut findings);
        serde_json::from_value(findings).unwrap()
    }

    #[test]
    fn each_finding_that_is_not_good_names_the_way_out() {
        type Lack = (&'static [&'static str], Verdict, &'static str, fn(&mut serde_json::Value));
        let checks = told(&findings(|_| {}));
        assert!(checks.iter().all(|check| check.verdict == Verdict::Ok), "{checks:?}");
        assert_eq!(checks.len(), 9, "{checks:?}");
        let table: &[Lack] = &[
            (&["confinement", "control groups"], Verdict::Warn, "journalctl -u agentd-launch", |it| {
                it["probe"]["levels"][1] = level("strict", true, &["processor time has no bound"]);
                it["probe"]["levels"][2] = level("unit", false, &[]);
            }),
            (&["confinement"], Verdict::Fail, "bubblewrap", |it| {
                it["probe"]["levels"] = serde_json::json!([level("landlock", true, &[]), level("strict", false, &[])]);
                it["probe"]["bubblewrap"] = serde_json::Value::Null;
            }),
            (&["confinement"], Verdict::Fail, "agentd-launch", |it| it["no_runs"] = "the disk is away".into()),
            (&["confinement"], Verdict::Warn, "agentctl doctor", |it| it["probe"] = serde_json::Value::Null),
            (&["launcher"], Verdict::Fail, "systemctl restart agentd-launch.socket", |it| {
                it["launcher"]["away"] = "it is not reached".into();
            }),
            (&["users of runs"], Verdict::Warn, "agentd-launch.socket", |it| it["run_uids"] = serde_json::Value::Null),
            (&["landlock"], Verdict::Warn, "kernel", |it| it["probe"]["landlock_abi"] = 4.into()),
            (&["git of runs"], Verdict::Warn, "git", |it| it["probe"]["git"] = serde_json::Value::Null),
            (&["journal"], Verdict::Warn, "log.to", |it| it["journal"] = false.into()),
            (&["polkit"], Verdict::Fail, "polkit", |it| it["polkit"]["away"] = "nobody answers".into()),
            (&["polkit"], Verdict::Fail, "org.agentd1.policy", |it| {
                it["polkit"]["unknown"] = serde_json::json!(["org.agentd1.manage-host"]);
            }),
            (&["credentials"], Verdict::Warn, "agentd credentials provision", |it| it["kek"] = serde_json::Value::Null),
        ];
        for (names, verdict, fix, change) in table {
            let checks = told(&findings(change));
            let wrong: Vec<&Check> = checks.iter().filter(|check| check.verdict != Verdict::Ok).collect();
            let found: Vec<&str> = wrong.iter().map(|check| check.name).collect();
            assert_eq!(found, *names, "{checks:?}");
            assert_eq!(wrong[0].verdict, *verdict, "{wrong:?}");
            assert!(wrong.iter().any(|check| check.fix.as_deref().unwrap().contains(fix)), "{wrong:?}");
        }
    }

    #[test]
    fn who_may_not_see_it_is_told_so_and_how_that_changes() {
        let problem = agentd_schemas::problem::Problem::new(
            Code::Denied,
            "uid:1004 may not see what agentd found out about the host",
        )
        .hint("usermod --append --groups agentd mallory");
        let check = untold(&problem.into());
        assert_eq!((check.name, check.verdict), ("host", Verdict::Warn));
        assert!(check.detail.contains("you may not see") && check.fix.as_deref().unwrap().contains("--groups agentd"));
        let check = untold(&Failure::broken("the connection to agentd broke"));
        assert_eq!((check.verdict, check.fix.is_some()), (Verdict::Fail, true));
    }
}
