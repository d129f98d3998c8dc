//! A declared host: what `agentctl config diff` tells, what `apply` makes of it, and whose word that is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use agentd_tests::harness::{Daemon, Scratch, Settings};
use serde_json::Value;

const AGENT: &str = "name = \"reader\"\nskills = [\"read\"]\nowner = 4711\n[limits]\nmax_cost_per_day = \"3 USD\"\n";
const SCHEDULE: &str =
    "name = \"nightly\"\ncron = \"30 2 * * *\"\n[work]\ntitle = \"Look\"\nrequired_skills = [\"read\"]\n";
const BUDGET: &str = "account = \"owner:4711\"\nper = \"month\"\nmax_tokens = 1000\n";

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    for path in [path.as_path(), path.parent().unwrap()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn declare(folder: &Path) {
    write(folder, "agents.d/reader.toml", AGENT);
    write(
        folder,
        "agents.d/runner.toml",
        "name = \"runner\"\ncommand = [\"./run\"]\n[sandbox]\nlevel = \"landlock\"\n",
    );
    write(folder, "agents.d/run", "#!/bin/sh\n");
    write(folder, "schedules.d/nightly.toml", SCHEDULE);
    write(folder, "budgets.d/hers.toml", BUDGET);
}

struct Host {
    daemon: Daemon,
    folder: Scratch,
}

impl Host {
    fn new(config: &str) -> Self {
        let folder = Scratch::new();
        declare(&folder.join("conf"));
        Self { daemon: Daemon::with(Settings { config: Some(config.to_owned()), ..Settings::default() }), folder }
    }

    /// Exit code and the JSON of one command about the folder.
    fn config(&self, arguments: &[&str]) -> (i32, Value, String) {
        let conf = self.folder.join("conf");
        let mut command = self.daemon.agentctl_command();
        command.arg("config").args(arguments).arg("--dir").arg(conf).arg("--json");
        command.env("XDG_CONFIG_HOME", self.folder.join("home"));
        let output = command.output().unwrap();
        let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code().unwrap(), json, String::from_utf8(output.stderr).unwrap())
    }

    fn events(&self) -> Vec<Value> {
        let told = self.daemon.told(&["ledger", "log", "--json"]);
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn names(changes: &Value) -> Vec<String> {
    let text = |change: &Value, key: &str| change[key].as_str().unwrap().to_owned();
    let one = |change: &Value| format!("{} {} {}", text(change, "change"), text(change, "kind"), text(change, "name"));
    changes.as_array().unwrap().iter().map(one).collect()
}

#[test]
fn a_declared_host_is_made_once_and_changed_field_by_field_and_pruned_when_asked() {
    let host = Host::new("");
    // By hand: no file ever declared it, so no apply takes it away.
    host.daemon.told(&["schedule", "add", "by-hand", "@daily", "Look"]);
    let (exit, told, _) = host.config(&["diff"]);
    assert_eq!(exit, 1);
    let all =
        ["create agent reader", "create agent runner", "create budget owner:4711/month", "create schedule nightly"];
    assert_eq!(names(&told["changes"]), all);
    let (exit, told, said) = host.config(&["apply"]);
    assert_eq!((exit, names(&told["applied"])), (0, all.map(str::to_owned).to_vec()), "{said}");
    let before = host.events().len();
    let (exit, told, _) = host.config(&["apply"]);
    assert_eq!((exit, names(&told["applied"])), (0, Vec::<String>::new()));
    assert_eq!(host.events().len(), before, "a second apply writes nothing");
    assert_eq!(host.config(&["diff"]).0, 0);
    let reader: Value = serde_json::from_str(&host.daemon.told(&["agent", "show", "reader", "--json"])).unwrap();
    assert_eq!((&reader["owner"], &reader["declared"]), (&4711.into(), &"agents.d/reader.toml".into()));

    let conf = host.folder.join("conf");
    write(&conf, "agents.d/reader.toml", &AGENT.replace("\"read\"", "\"read\", \"count\"").replace("3 USD", "4 USD"));
    write(&conf, "agents.d/run", "#!/bin/sh\nexit 1\n");
    write(&conf, "schedules.d/nightly.toml", &SCHEDULE.replace("30 2", "45 2"));
    std::fs::remove_file(conf.join("budgets.d/hers.toml")).unwrap();
    let (exit, told, _) = host.config(&["diff"]);
    let fields: Vec<&str> = told["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|change| change["fields"].as_array())
        .flatten()
        .map(|field| field["field"].as_str().unwrap())
        .collect();
    assert_eq!((exit, fields), (1, vec!["limits.max_cost_per_day", "skills", "files.run", "cron"]));
    let (exit, told, _) = host.config(&["apply"]);
    assert_eq!((exit, names(&told["left"])), (0, vec!["undeclared budget owner:4711/month".to_owned()]));
    let made: Vec<String> =
        host.events()[before..].iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(made, ["SkillsDeclared", "AccountLimitSet", "ProgramBound", "ScheduleRemoved", "ScheduleAdded"]);

    std::fs::remove_file(conf.join("agents.d/reader.toml")).unwrap();
    std::fs::remove_file(conf.join("schedules.d/nightly.toml")).unwrap();
    let (exit, told, _) = host.config(&["apply", "--prune"]);
    let gone = ["schedule nightly", "budget owner:4711/month", "agent reader"].map(|what| format!("undeclared {what}"));
    assert_eq!((exit, names(&told["applied"])), (0, gone.to_vec()));
    assert_eq!(host.config(&["diff"]).0, 0);
    assert!(host.daemon.told(&["schedule", "list"]).contains("by-hand"));
    host.daemon.verifies();
}

#[test]
fn one_bad_file_and_nothing_is_applied() {
    let host = Host::new("");
    let conf = host.folder.join("conf");
    let before = host.events().len();
    for (name, text, words) in [
        ("schedules.d/z.toml", SCHEDULE.replace("30 2", "61 2").replace("nightly", "z"), "schedules.d/z.toml: cron"),
        ("agents.d/z.toml", "name = \"z\"\nskil = []\n".to_owned(), "z.toml:2:1"),
        (
            "agents.d/z.toml",
            "name = \"z\"\ncommand = [\"/bin/true\"]\n[sandbox]\nprofiles = [\"none\"]\n".to_owned(),
            "z.toml",
        ),
        ("budgets.d/z.toml", BUDGET.replace("owner:4711", "agent:nobody"), "no agent is named nobody"),
    ] {
        write(&conf, name, &text);
        let (exit, _, said) = host.config(&["apply"]);
        assert!(exit == 2 && said.contains(words), "{name}: {exit} {said}");
        std::fs::remove_file(conf.join(name)).unwrap();
    }
    assert_eq!(host.events().len(), before);
    // What a file asks for and no command can do is told before anything is done.
    assert_eq!(host.config(&["apply"]).0, 0);
    write(&conf, "agents.d/reader.toml", &AGENT.replace("4711", "4712"));
    let (exit, _, said) = host.config(&["apply"]);
    assert!(exit == 2 && said.contains("owner of agent reader is 4711"), "{exit} {said}");
}

#[test]
fn what_an_automation_does_is_unattended_and_it_judges_nothing() {
    let own = rustix::process::geteuid().as_raw();
    let host = Host::new(&format!("automation_users = [{own}]\n"));
    assert_eq!(host.config(&["apply"]).0, 0);
    for event in host.events().iter().filter(|event| event["actor"] != "host") {
        assert_eq!(event["assurance"], "unattended", "{event}");
    }
    assert!(host.events().iter().any(|event| event["type"] == "AgentEnrolled"));
    let refused = host.daemon.agentctl(&["agent", "activate", "reader", "--reason", "it is good"]);
    assert_eq!(refused.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("automation.never_judges"));
}

#[test]
fn an_automation_that_the_host_does_not_know_is_a_mistake() {
    let mut daemon = Daemon::prepared(Settings {
        config: Some("automation_users = [\"agentd-no-such-user\"]\n".to_owned()),
        ..Settings::default()
    });
    daemon.spawn();
    assert!(!daemon.wait().success());
    assert!(
        daemon.log().contains("automation_users: the host has no user \"agentd-no-such-user\""),
        "{}",
        daemon.log()
    );
}
