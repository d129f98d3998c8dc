//! The group of users: on a host that agentd serves as a whole, who is in none of its groups sees the status alone.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use rustix::process::geteuid;
use serde_json::Value;

use agentd_tests::harness::{lend, skip};

use crate::manager::Managed;
use crate::reload::reload;

/// A group that every Debian has, in the place of `agentd`, and another one that nobody here is in.
const USERS: u32 = 100;

/// A host whose users are the members of `users`; none where the test may not be other users.
fn host() -> Option<Managed> {
    if !geteuid().is_root() {
        skip("only root can be other users");
        return None;
    }
    Some(Managed::started("[groups]\nusers = \"users\"\noperators = \"nogroup\"\nauditors = \"games\"\n"))
}

/// `agentctl` as somebody else.
fn by(managed: &Managed, uid: u32, gid: u32, arguments: &[&str]) -> Output {
    let own = managed.scratch.join("agentctl");
    if !own.exists() {
        lend("agentctl", &own);
    }
    let mut command = Command::new(own);
    command.env("AGENTD_ADDRESS", managed.run("control.sock"));
    for variable in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "AGENTD_STATE"] {
        command.env_remove(variable);
    }
    command.env("HOME", "/nonexistent").current_dir("/").args(arguments).uid(uid).gid(gid);
    // What root is in besides is dropped with its uid.
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn who_is_in_no_group_is_told_which_one_and_sees_the_status() {
    let Some(managed) = host() else { return };
    let outsider = |arguments: &[&str]| by(&managed, 3001, 3001, arguments);
    let status = outsider(&["status", "--json"]);
    assert!(status.status.success(), "{}", said(&status));
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(
        (status["mode"].as_str(), status["works"].as_object().map(serde_json::Map::len)),
        (Some("system"), Some(0))
    );
    let own = managed.ctl(&["submit", "Of root", "-q"]);
    for arguments in [
        &["submit", "Mine"][..],
        &["work", "list"],
        &["work", "show", own.trim()],
        &["work", "show", "w-aaaaaaaaaaaaaaaa"],
        &["cancel", own.trim(), "--reason", "x"],
        &["agent", "list"],
        &["agent", "show", "nobody"],
        &["ledger", "log"],
        &["budget", "show"],
        &["digest"],
        &["freeze", own.trim(), "--reason", "x"],
    ] {
        let output = outsider(arguments);
        let said = said(&output);
        assert!(!output.status.success(), "{arguments:?}: {said}");
        assert!(said.contains("usermod -aG users \"$(id -un 3001)\""), "{arguments:?}: {said}");
    }
    let frozen = said(&outsider(&["freeze", "--all", "--reason", "x"]));
    assert!(frozen.contains("usermod -aG nogroup"), "a user may not either: {frozen}");
    let there = said(&outsider(&["work", "show", own.trim()])).replace(own.trim(), "WORK");
    let missing = said(&outsider(&["work", "show", "w-aaaaaaaaaaaaaaaa"])).replace("w-aaaaaaaaaaaaaaaa", "WORK");
    assert_eq!(there, missing, "what is there and what is not has one answer");
}

#[test]
fn two_members_of_the_group_never_learn_of_each_others_work_and_one_who_leaves_it_has_none() {
    let Some(managed) = host() else { return };
    let member = |uid: u32, arguments: &[&str]| by(&managed, uid, USERS, arguments);
    let submitted = member(3002, &["submit", "A secret plan", "-q"]);
    assert!(submitted.status.success(), "{}", said(&submitted));
    let id = String::from_utf8(submitted.stdout).unwrap().trim().to_owned();
    assert!(said(&member(3002, &["work", "show", &id])).contains("A secret plan"));
    let other = said(&member(3003, &["work", "show", &id])).replace(&id, "WORK");
    let missing = said(&member(3003, &["work", "show", "w-aaaaaaaaaaaaaaaa"])).replace("w-aaaaaaaaaaaaaaaa", "WORK");
    assert_eq!(other, missing);
    for arguments in [&["work", "list", "--json"][..], &["status", "--json"], &["ledger", "log", "--json"], &["digest"]]
    {
        let output = member(3003, arguments);
        let said = said(&output);
        assert!(output.status.success() && !said.contains(&id) && !said.contains("secret"), "{arguments:?}: {said}");
    }
    // The one who leaves the group has it no more, not even its own.
    let left = by(&managed, 3002, 3002, &["work", "show", &id]);
    assert!(!left.status.success() && said(&left).contains("usermod -aG users") && !said(&left).contains("secret"));
    let auditor = by(&managed, 3004, 60, &["work", "show", &id]);
    assert!(said(&auditor).contains("A secret plan"), "an auditor is in one of the groups: {}", said(&auditor));
    assert!(!by(&managed, 3004, 60, &["cancel", &id, "--reason", "x"]).status.success());
}

#[test]
fn a_closed_folder_and_a_closed_ledger_are_named_with_the_way_out() {
    let Some(managed) = host() else { return };
    let folder = managed.scratch.join("closed");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let folder = folder.to_str().unwrap();
    let submitted = said(&by(&managed, 3002, USERS, &["submit", "x", "--folder", folder]));
    assert!(submitted.contains(&format!("cannot enter {folder}: permission denied")), "{submitted}");
    let verified = said(&by(&managed, 3002, USERS, &["ledger", "verify"]));
    assert!(verified.contains("permission denied") && verified.contains("agentctl ledger export"), "{verified}");
}

#[test]
fn another_group_of_users_counts_from_the_next_connection_on() {
    let Some(mut managed) = host() else { return };
    // `mail`, on every Debian.
    let submit = |managed: &Managed| by(managed, 3005, 8, &["submit", "By mail", "-q"]);
    assert!(!submit(&managed).status.success());
    reload(&mut managed, "[groups]\nusers = \"mail\"\noperators = \"nogroup\"\nauditors = \"games\"\n");
    let submitted = submit(&managed);
    assert!(submitted.status.success(), "{}", said(&submitted));
    assert!(!by(&managed, 3002, USERS, &["submit", "No more", "-q"]).status.success());
}
