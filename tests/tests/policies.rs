//! A host's own policies, with the real daemon and the real command line: checked, tested, loaded, explained, refused.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use agentd_tests::harness::{Daemon, Settings, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const NIGHTS: &str = "@id(\"team.no_raises\") @says(\"nobody cancels, retries or raises works here\")\n\
                      forbid (principal is Agentd::User, action == Agentd::Action::\"work.manage\", resource);\n";

/// A daemon with a folder of policies beside its configuration.
struct Scene {
    daemon: Daemon,
}

impl Scene {
    fn prepared() -> Self {
        let scene = Self { daemon: Daemon::prepared(Settings::default()) };
        fs::create_dir(scene.folder()).unwrap();
        fs::set_permissions(scene.folder(), Permissions::from_mode(0o755)).unwrap();
        scene
    }

    fn started() -> Self {
        let mut scene = Self::prepared();
        scene.daemon.run();
        scene
    }

    fn folder(&self) -> PathBuf {
        self.daemon.config().with_file_name("policies.d")
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        path
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.daemon.told(&[arguments, &["--json"]].concat())).unwrap()
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.daemon.agentctl(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn set(&self) -> String {
        self.json(&["policy", "show"])["set"].as_str().unwrap().to_owned()
    }

    fn events(&self, kind: &str) -> Vec<Value> {
        self.daemon.operator().events().into_iter().filter(|event| event["type"] == kind).collect()
    }
}

#[test]
fn a_policy_is_checked_tested_loaded_and_decides() {
    let mut scene = Scene::started();
    let before = scene.set();
    assert!(scene.events("PoliciesLoaded").is_empty(), "a host without policies has no event of them");
    scene.write("team.cedar", NIGHTS);
    scene.write(
        "team.requests.toml",
        "[[request]]\nprincipal = \"user:7\"\naction = \"work.manage\"\non = \"work:any\"\nowner = 7\nexpect = \"deny\"\nrule = \"team.no_raises\"\n",
    );
    let checked = scene.json(&["policy", "check"]);
    assert_eq!((&checked["valid"], &checked["policies"], &checked["requests"]), (&true.into(), &1.into(), &1.into()));
    assert!(scene.daemon.told(&["policy", "test"]).contains("team.requests.toml#1"));
    assert_eq!(scene.set(), before, "what is checked is not loaded");
    let id = scene.daemon.told(&["submit", "Anything", "--skill", "none", "--quiet"]);
    scene.daemon.told(&["policy", "reload"]);
    assert_eq!(scene.set(), checked["set"].as_str().unwrap());
    let said = scene.refused(&["cancel", id.trim(), "--reason", "no more"]);
    assert!(
        said.contains("may not manage works") && said.contains("nobody cancels, retries or raises works here"),
        "{said}"
    );
    let explained = scene.json(&["policy", "explain", "work.manage", "--on", &format!("work:{}", id.trim())]);
    assert_eq!((&explained["allowed"], &explained["rule"]), (&false.into(), &"team.no_raises".into()));
    assert_eq!(explained["policies"][0]["place"], "team.cedar:1");
    let loaded = scene.events("PoliciesLoaded");
    assert_eq!((loaded.len(), &loaded[0]["data"]["set"]), (1, &checked["set"]));
    assert_eq!(loaded[0]["data"]["files"][0]["name"], "team.cedar");
    // What is done from now on names the set, also after a restart.
    scene.daemon.stop();
    scene.daemon.run();
    scene.daemon.told(&["submit", "Another", "--skill", "none"]);
    let submitted = scene.events("WorkSubmitted");
    assert_eq!(submitted.last().unwrap()["decided"]["set"], checked["set"]);
    assert_ne!(submitted[0]["decided"]["set"], checked["set"]);
    fs::remove_dir_all(scene.folder()).unwrap();
    scene.daemon.told(&["policy", "reload"]);
    assert_eq!(scene.set(), before);
    scene.daemon.told(&["cancel", id.trim(), "--reason", "no more"]);
    scene.daemon.stop();
    scene.daemon.verifies();
}

#[test]
fn what_is_broken_changes_nothing_and_is_shown_until_it_is_mended() {
    let scene = Scene::started();
    scene.write("team.cedar", NIGHTS);
    scene.daemon.told(&["policy", "reload"]);
    let in_force = scene.set();
    let forbid = |rest: &str| format!("@id(\"x\")\nforbid (principal, action, resource){rest}");
    let cases: Vec<(Vec<u8>, u32, &str, &str)> = vec![
        (forbid("").into(), 0o644, "x.cedar:2:37", "unexpected end of input"),
        (b"@id(\"x\") forbid (principal is Agentd::Robot, action, resource);".to_vec(), 0o644, "x.cedar:1:", "Robot"),
        (forbid(" when { resource.colour == 3 };").into(), 0o644, "x.cedar:2:", "colour"),
        (
            forbid(&format!(" when {{ {}true{} }};", "(".repeat(300), ")".repeat(300))).into(),
            0o644,
            "x.cedar:2:",
            "brackets",
        ),
        (vec![b' '; 10 << 20], 0o644, "x.cedar", "larger than"),
        (forbid(";").into(), 0o666, "x.cedar", "written by others"),
        (
            "@id(\"x\") forbid (principal == Agentd::Agent::\"fіxer\", action, resource);".into(),
            0o644,
            "x.cedar:1:",
            "ASCII",
        ),
        (
            b"@id(\"x\") @decision(\"ask\") forbid (principal, action, resource);".to_vec(),
            0o644,
            "x.cedar:1:1",
            "asks nobody",
        ),
    ];
    let count = cases.len();
    for (text, mode, place, reason) in cases {
        let path = scene.write("x.cedar", text);
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        for verb in ["check", "reload"] {
            let said = scene.refused(&["policy", verb]);
            assert!(said.contains(place) && said.contains(reason) && said.contains("hint: "), "{verb}: {said}");
        }
        assert_eq!(scene.set(), in_force);
        let rejected = scene.events("PoliciesRejected");
        let data = &rejected.last().unwrap()["data"];
        assert!(data["place"].as_str().unwrap().starts_with(place), "{data}");
        assert_eq!((&data["set"], &data["shut"]), (&in_force.as_str().into(), &false.into()));
        let status = scene.json(&["status"])["health"].to_string();
        assert!(status.contains("policies were not taken") && status.contains(reason), "{status}");
        let critical = scene.json(&["status"])["critical"].to_string();
        assert!(!critical.contains("policies"), "work goes on under the old ones: {critical}");
        assert_ne!(scene.daemon.agentctl(&["status", "--check"]).status.code(), Some(0));
    }
    assert_eq!(scene.events("PoliciesRejected").len(), count);
    fs::remove_file(scene.folder().join("x.cedar")).unwrap();
    let pid = Pid::from_raw(i32::try_from(scene.daemon.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    eventually("a reload by a signal", || {
        (!scene.json(&["status"])["health"].to_string().contains("policies")).then_some(())
    });
    assert_eq!(scene.set(), in_force);
}

#[test]
fn a_daemon_that_starts_with_broken_policies_begins_nothing_until_they_are_mended() {
    let mut scene = Scene::prepared();
    scene.write("team.cedar", "forbid (principal");
    scene.daemon.run();
    let shown = scene.json(&["policy", "show"]);
    assert_eq!(shown["shut"], true);
    assert!(shown["wrong"].as_str().unwrap().contains("team.cedar:1:18"), "{shown}");
    let said = scene.refused(&["submit", "Anything", "--skill", "none"]);
    assert!(said.contains("may not submit works") && said.contains("agentctl policy reload"), "{said}");
    assert!(scene.json(&["status"])["health"].to_string().contains("policies could not be read"));
    assert!(scene.daemon.told(&["ledger", "log"]).contains("policies not taken: team.cedar:1:18"));
    assert_eq!(scene.events("PoliciesRejected")[0]["data"]["shut"], true);
    scene.write("team.cedar", NIGHTS);
    scene.daemon.told(&["policy", "reload"]);
    scene.daemon.told(&["submit", "Anything", "--skill", "none"]);
    scene.daemon.stop();
    scene.daemon.verifies();
}

#[test]
fn a_forbid_that_errs_denies_and_the_status_says_so() {
    let scene = Scene::started();
    let errs = "@id(\"team.sum\")\nforbid (principal is Agentd::User, action == Agentd::Action::\"work.submit\", resource)\n\
                when { principal.uid + 9223372036854775807 + 1 < 0 };\n";
    scene.write("team.cedar", errs);
    scene.daemon.told(&["policy", "reload"]);
    let said = scene.refused(&["submit", "Anything", "--skill", "none"]);
    assert!(said.contains("may not submit works"), "{said}");
    assert!(scene.json(&["status"])["health"].to_string().contains("team.sum"));
    let denied = eventually("the record of the denial", || scene.events("AccessDenied").pop());
    assert_eq!(denied["data"]["rule"], "policy.error");
}

#[test]
fn who_asks_for_another_is_answered_by_its_groups_and_agents_by_their_works() {
    let scene = Scene::started();
    scene.daemon.told(&["agent", "enroll", "fixer", "--", "/bin/true"]);
    let explain = |arguments: &[&str]| {
        let answer = scene.json(&[&["policy", "explain"], arguments].concat());
        format!("{} {}", answer["allowed"], answer["rule"].as_str().unwrap())
    };
    assert_eq!(explain(&["host.manage"]), "true operator.manages_the_host");
    assert_eq!(explain(&["host.manage", "--as", "64123"]), "false no_rule");
    assert_eq!(explain(&["work.submit", "--as", "64123"]), "true owner.manages_its_own");
    assert_eq!(explain(&["work.claim", "--agent", "fixer"]), "true agent.works_for_its_owner");
    assert_eq!(explain(&["work.judge", "--agent", "fixer"]), "false agent.never_governs");
    assert!(scene.refused(&["policy", "explain", "work.sing"]).contains("no action \"work.sing\""));
    assert!(scene.refused(&["policy", "explain", "work.read", "--on", "work:w-nothere"]).contains("no work"));
}
