use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::git::scratch::Scratch;

fn write(scratch: &Scratch, name: &str, text: &str) -> PathBuf {
    let path = scratch.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn refused(scratch: &Scratch) -> Failure {
    let failure = read(scratch.path(), 1000).unwrap_err();
    assert_eq!(failure.exit(), 2, "{failure:?}");
    failure
}

#[test]
fn what_is_declared_is_read_with_owners_as_uids_and_files_beside_it_left_alone() {
    let scratch = Scratch::new().unwrap();
    write(&scratch, "agents.d/reader.toml", "name = 'reader'\n");
    write(&scratch, "agents.d/hers.toml", "name = 'hers'\nowner = 'root'\n");
    write(&scratch, "agents.d/README", "no document");
    write(&scratch, "agents.d/.hidden.toml", "neither");
    write(&scratch, "schedules.d/n.toml", "name = 'n'\ncron = '@daily'\nowner = 7\n[work]\ntitle = 'T'\n");
    write(&scratch, "budgets.d/b.toml", "account = 'owner:root'\nper = 'day'\nmax_cost = '3 USD'\n");
    let declared = read(scratch.path(), 1000).unwrap();
    let agents: Vec<String> = declared
        .agents
        .iter()
        .map(|file| format!("{} {} {}", file.name, file.document.name, file.document.owner.as_ref().unwrap()))
        .collect();
    assert_eq!(agents, ["agents.d/hers.toml hers 0", "agents.d/reader.toml reader 1000"]);
    assert_eq!(declared.schedules[0].document.owner, Some(Owner::Uid(7)));
    assert_eq!(declared.budgets[0].document.account, "owner:0");
    assert_eq!(declared.budgets[0].document.declared.as_deref(), Some("budgets.d/b.toml"));
}

#[test]
fn what_everybody_may_write_declares_nothing() {
    let scratch = Scratch::new().unwrap();
    let file = write(&scratch, "agents.d/x.toml", "name = 'x'\ncommand = ['./run']\n");
    let program = write(&scratch, "agents.d/run", "#!/bin/sh\n");
    mode(&program, 0o755);
    assert!(read(scratch.path(), 1000).is_ok());
    for (path, closed) in
        [(file, 0o644), (program, 0o755), (scratch.path().join("agents.d"), 0o755), (scratch.path().to_owned(), 0o700)]
    {
        mode(&path, closed | 0o002);
        let failure = refused(&scratch);
        assert!(failure.message().contains("everybody may write"), "{failure:?}");
        assert!(failure.message().contains(path.to_str().unwrap()), "{failure:?}");
        mode(&path, closed);
    }
}

#[test]
fn a_bad_file_is_named_with_its_key_and_nothing_is_declared_twice() {
    for (files, words) in [
        (&[("agents.d/x.toml", "name = 'x'\nskils = []\n")][..], "agents.d/x.toml:2:1: unknown field \"skils\""),
        (&[("agents.d/x.toml", "name = 'x'\ncustody = 'owner'\n")], "custody"),
        (&[("agents.d/x.toml", "name = 'x'\npublic_key = 'no'\n")], "public_key"),
        (
            &[("agents.d/x.toml", "name = 'x'\ncommand = ['/bin/true']\nfiles = ['.env']\n"), ("agents.d/.env", "")],
            "secret",
        ),
        (&[("agents.d/x.toml", "name = 'x'\n"), ("agents.d/y.toml", "name = 'x'\n")], "both declare agent x"),
        (&[("budgets.d/b.toml", "account = 'host'\nper = 'day'\n")], "no limit is given"),
        (&[("budgets.d/b.toml", "account = 'team:x'\nper = 'day'\nmax_tokens = 1\n")], "is not an account"),
        (&[("budgets.d/b.toml", "account = 'host'\nper = 'week'\nmax_tokens = 1\n")], "budgets.d/b.toml:2"),
        (
            &[
                ("agents.d/x.toml", "name = 'x'\n[limits]\nmax_cost_per_day = '1 USD'\n"),
                ("budgets.d/b.toml", "account = 'agent:x'\nper = 'day'\nmax_cost = '2 USD'\n"),
            ],
            "both declare the money of agent:x per day",
        ),
    ] {
        let scratch = Scratch::new().unwrap();
        for (name, text) in files {
            write(&scratch, name, text);
        }
        let failure = refused(&scratch);
        assert!(failure.message().contains(words), "{words}: {failure:?}");
    }
}
