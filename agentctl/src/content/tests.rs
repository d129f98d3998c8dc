use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use super::*;
use crate::git::trial::{Trial, git_at};

/// Writes the handed-in bundle beside the trial and clones it; gives the clone's files.
fn unbundled(trial: &Trial, prepared: &Prepared) -> std::path::PathBuf {
    let (bundle, clone) = (trial.beside("handed-in.bundle"), trial.beside("clone"));
    let _ = std::fs::remove_dir_all(&clone);
    let mut file = prepared.file.try_clone().unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, prepared.content.bytes);
    assert_eq!(
        data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(&bytes)),
        prepared.content.sha256
    );
    std::fs::File::create(&bundle).unwrap().write_all(&bytes).unwrap();
    let base = prepared.content.base.clone().unwrap();
    let format = if base.len() == 64 { "sha256" } else { "sha1" };
    std::fs::create_dir(&clone).unwrap();
    git_at(&clone, &["init", "-q", &format!("--object-format={format}")]);
    git_at(&clone, &["fetch", "-q", bundle.to_str().unwrap(), "refs/agentd/base:refs/agentd/base"]);
    assert_eq!(git_at(&clone, &["rev-parse", "refs/agentd/base"]), base);
    git_at(&clone, &["checkout", "-q", &base]);
    clone
}

fn files(clone: &Path) -> BTreeSet<String> {
    git_at(clone, &["ls-tree", "-r", "--name-only", "HEAD"]).lines().map(str::to_owned).collect()
}

fn take(trial: &Trial, taking: &Taking) -> Result<Prepared, Failure> {
    of_repository(&trial.top, None, taking)
}

fn dirty() -> Taking {
    Taking { include_dirty: true, ..Taking::default() }
}

fn allowing(path: &str) -> Taking {
    Taking { allowed: Allowed(vec![path.to_owned()]), ..Taking::default() }
}

fn noted(prepared: &Prepared, words: &str) -> bool {
    prepared.notes.iter().any(|note| note.contains(words))
}

#[test]
fn a_clean_repository_is_handed_in_as_it_is_and_not_touched() {
    let trial = Trial::new();
    let before = trial.snapshot();
    let prepared = take(&trial, &Taking::default()).unwrap();
    assert_eq!(trial.snapshot(), before);
    assert_eq!(prepared.content.base, Some(trial.git(&["rev-parse", "HEAD"])));
    assert_eq!(prepared.content.branch.as_deref(), Some("main"));
    assert_eq!(prepared.notes.len(), 1, "{:?}", prepared.notes);
    assert_eq!(files(&unbundled(&trial, &prepared)), [".gitignore", "a", "sub/b"].map(str::to_owned).into());
    // The same again is the same bytes, so that a submit can be repeated under its key.
    assert_eq!(take(&trial, &Taking::default()).unwrap().content, prepared.content);
}

#[test]
fn what_is_not_committed_is_noted_and_taken_only_on_demand_without_a_trace() {
    let trial = Trial::new();
    trial.write("a", "one\nchanged\nthree\n").write("new file", "n\n").write("ignored/x", "x\n");
    std::fs::remove_file(trial.top.join("sub/b")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", trial.top.join("link")).unwrap();
    let before = trial.snapshot();
    let prepared = take(&trial, &Taking::default()).unwrap();
    assert!(noted(&prepared, "4 uncommitted files are not included (--include-dirty)"), "{:?}", prepared.notes);
    let keep = trial.beside("bases");
    let prepared = take(&trial, &Taking { keep: Some(keep.clone()), ..dirty() }).unwrap();
    assert_eq!(trial.snapshot(), before);
    assert!(noted(&prepared, "4 uncommitted files are included"), "{:?}", prepared.notes);
    let clone = unbundled(&trial, &prepared);
    assert_eq!(files(&clone), [".gitignore", "a", "link", "new file"].map(str::to_owned).into());
    assert_eq!(git_at(&clone, &["rev-parse", "HEAD^"]), trial.git(&["rev-parse", "HEAD"]));
    assert!(clone.join("link").is_symlink());
    let base = prepared.content.base.unwrap();
    assert!(keep::kept(&keep, &base).is_some(), "what the repository lacks is kept for apply");
}

#[test]
fn a_file_in_place_of_a_folder_and_a_staged_one_that_is_gone_are_taken_as_they_are() {
    let trial = Trial::new();
    std::fs::remove_dir_all(trial.top.join("sub")).unwrap();
    trial.write("sub", "a file now\n").write("staged", "s\n");
    trial.git(&["add", "staged"]);
    std::fs::remove_file(trial.top.join("staged")).unwrap();
    let prepared = take(&trial, &dirty()).unwrap();
    assert_eq!(files(&unbundled(&trial, &prepared)), [".gitignore", "a", "sub"].map(str::to_owned).into());
}

#[test]
fn ignored_files_come_along_where_worktreeinclude_names_them() {
    let trial = Trial::new();
    trial.write(".worktreeinclude", "ignored/config.json\n*.rs\n");
    trial.commit("list");
    trial.write("ignored/config.json", "{}\n").write("ignored/other", "o\n").write("unknown.rs", "\n");
    let prepared = take(&trial, &Taking::default()).unwrap();
    assert!(noted(&prepared, "1 ignored file named by .worktreeinclude"), "{:?}", prepared.notes);
    let files = files(&unbundled(&trial, &prepared));
    assert!(files.contains("ignored/config.json") && !files.contains("ignored/other"), "{files:?}");
    assert!(!files.contains("unknown.rs"), "a file that is not committed is not an ignored one");
}

#[test]
fn secrets_are_refused_by_name_and_let_through_by_name() {
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n";
    for (name, content, refused) in [
        (".env", "TOKEN=1\n", true),
        (".env.example", "TOKEN=\n", false),
        ("deploy/id_ed25519", "x\n", true),
        ("config/any name", key, true),
        ("docs/ssh.md", "so:\n-----BEGIN PRIVATE KEY-----\n", false),
        ("ca.pem", "-----BEGIN CERTIFICATE-----\n", false),
        ("both.pem", "-----BEGIN CERTIFICATE-----\n-----BEGIN RSA PRIVATE KEY-----\n", true),
        (".npmrc", "//registry.npmjs.org/:_authToken=abc\n", true),
        ("web/.npmrc", "save-exact=true\n", false),
        (".netrc", "machine a\n", true),
        ("x.kdbx", "x\n", true),
        (".aws/credentials", "[default]\n", true),
    ] {
        let trial = Trial::new();
        trial.write(name, content);
        trial.commit("more");
        match take(&trial, &Taking::default()) {
            Ok(_) => assert!(!refused, "{name} went through"),
            Err(failure) => {
                assert!(refused && failure.message().contains(name), "{name}: {failure:?}");
                assert!(failure.told(false).contains("--allow-secret"), "{failure:?}");
                take(&trial, &allowing(name)).unwrap();
            }
        }
    }
    let trial = Trial::new();
    let chain = "a certificate of many\n".repeat(20_000);
    trial.write("tls/chain.pem", &format!("{chain}-----BEGIN PRIVATE KEY-----\n"));
    trial.commit("a key behind much else");
    assert!(take(&trial, &Taking::default()).unwrap_err().message().contains("tls/chain.pem"));
    let trial = Trial::new();
    trial.write(".env", "TOKEN=1\n").write(".worktreeinclude", ".env\n").write(".gitignore", ".env\n");
    trial.commit("list");
    let failure = take(&trial, &Taking::default()).unwrap_err();
    assert!(failure.message().contains(".env"), "{failure:?}");
}

#[test]
fn submodules_lfs_pointers_and_nested_repositories_are_said() {
    let trial = Trial::new();
    let other = Trial::new();
    trial.git(&["submodule", "--quiet", "add", other.top.to_str().unwrap(), "vendor/x"]);
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
    trial.write("big1.bin", pointer).write("big2.bin", pointer);
    trial.commit("more");
    trial.write("nested/file", "n\n");
    git_at(&trial.top.join("nested"), &["init", "-q"]);
    let prepared = take(&trial, &dirty()).unwrap();
    for words in
        ["submodule vendor/x is not included", "2 files are Git LFS pointers", "nested/ is a repository of its own"]
    {
        assert!(noted(&prepared, words), "{words}: {:?}", prepared.notes);
    }
}

#[test]
fn bare_shallow_detached_worktree_and_sha256_repositories_are_taken() {
    let trial = Trial::new();
    trial.write("a", "two\n");
    let second = trial.commit("second");
    let source = trial.top.to_str().unwrap();

    let bare = trial.beside("bare.git");
    git_at(&trial.top, &["clone", "-q", "--bare", source, bare.to_str().unwrap()]);
    let prepared = of_repository(&bare, None, &Taking::default()).unwrap();
    assert_eq!((prepared.content.base.as_ref(), prepared.content.branch.as_deref()), (Some(&second), Some("main")));

    let shallow = trial.beside("shallow");
    let url = format!("file://{source}");
    git_at(&trial.top, &["clone", "-q", "--depth=1", &url, shallow.to_str().unwrap()]);
    let keep = Some(trial.beside("bases"));
    let prepared = of_repository(&shallow, None, &Taking { keep: keep.clone(), ..Taking::default() }).unwrap();
    assert!(noted(&prepared, "shallow"), "{:?}", prepared.notes);
    let clone = unbundled(&trial, &prepared);
    assert_eq!(git_at(&clone, &["rev-list", "--count", "HEAD"]), "1");
    assert_eq!(git_at(&clone, &["rev-parse", "HEAD^{tree}"]), trial.git(&["rev-parse", "HEAD^{tree}"]));

    trial.git(&["worktree", "add", "-q", "--detach", trial.beside("tree").to_str().unwrap(), "HEAD^"]);
    let prepared = of_repository(&trial.beside("tree"), None, &Taking::default()).unwrap();
    assert_eq!((prepared.content.base, prepared.content.branch), (Some(trial.git(&["rev-parse", "HEAD^"])), None));

    let large = trial.beside("large");
    std::fs::create_dir(&large).unwrap();
    git_at(&large, &["init", "-q", "--object-format=sha256"]);
    std::fs::write(large.join("a"), "a\n").unwrap();
    git_at(&large, &["add", "a"]);
    git_at(&large, &["-c", "user.name=P", "-c", "user.email=p@x", "commit", "-q", "-m", "a"]);
    std::fs::write(large.join("b"), "b\n").unwrap();
    let prepared = of_repository(&large, None, &dirty()).unwrap();
    assert_eq!(files(&unbundled(&trial, &prepared)), ["a", "b"].map(str::to_owned).into());
}

#[test]
fn what_cannot_be_taken_says_the_way_out() {
    let trial = Trial::empty();
    let failure = take(&trial, &Taking::default()).unwrap_err();
    assert!(failure.message().contains("has no commit yet"), "{failure:?}");
    let trial = Trial::new();
    trial.git(&["branch", "release-2"]);
    let failure = of_repository(&trial.top, Some("relase-2"), &Taking::default()).unwrap_err();
    assert_eq!(failure.hinted(), Some("did you mean release-2?"), "{failure:?}");
    let failure = of_repository(&trial.top, Some("--all"), &Taking::default()).unwrap_err();
    assert!(failure.message().contains("no commit is called --all"), "{failure:?}");
    let failure = of_repository(&trial.beside(""), None, &Taking::default()).unwrap_err();
    assert!(failure.told(false).contains("--folder"), "{failure:?}");
    let failure = of_repository(&trial.top, Some("release-2^{tree}"), &Taking::default()).unwrap_err();
    assert_eq!(failure.exit(), 6, "{failure:?}");
    trial.write("a", "later\n");
    trial.commit("second");
    let failure = of_repository(&trial.top, Some("release-2"), &dirty()).unwrap_err();
    assert!(failure.message().contains("--include-dirty"), "{failure:?}");
    let prepared = of_repository(&trial.top.join("sub"), Some("release-2"), &Taking::default()).unwrap();
    assert!(noted(&prepared, "the whole repository is taken"), "{:?}", prepared.notes);
    assert_eq!(prepared.content.branch.as_deref(), Some("release-2"));
}

#[test]
fn a_hostile_repository_runs_nothing_and_leads_nowhere() {
    use std::os::unix::fs::PermissionsExt;
    let trial = Trial::new();
    let marker = trial.beside("marker");
    let program = trial.beside("program");
    std::fs::write(&program, format!("#!/bin/sh\necho $0 $@ >> {}\ncat\n", marker.display())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    trial.write(".gitattributes", "* filter=evil diff=evil merge=evil\n");
    trial.commit("attributes");
    let hooks = trial.top.join(".git/hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    for hook in ["post-index-change", "reference-transaction", "post-checkout", "pre-commit", "fsmonitor-watchman"] {
        std::os::unix::fs::symlink(&program, hooks.join(hook)).unwrap();
    }
    let evil = program.to_str().unwrap();
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "core.editor",
        "core.alternateRefsCommand",
        "diff.external",
        "diff.evil.command",
        "diff.evil.textconv",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "merge.evil.driver",
        "gpg.program",
        "credential.helper",
    ] {
        trial.git(&["config", key, evil]);
    }
    trial.git(&["config", "commit.gpgSign", "true"]);
    trial.git(&["config", "filter.evil.required", "true"]);
    // Names of drivers are bytes, and may hold dots.
    let config = trial.top.join(".git/config");
    let mut settings = std::fs::read(&config).unwrap();
    for name in [&b"e\xff"[..], b"e.v.i.l", b"e\xc3\x28.x"] {
        let line = format!("\"]\nclean = {evil}\nsmudge = {evil}\nprocess = {evil}\nrequired = true\n");
        settings.extend([b"[filter \"", name, line.as_bytes()].concat());
    }
    std::fs::write(&config, settings).unwrap();
    let attributes = b"a filter=e\xff\nnew filter=e.v.i.l\n*.x filter=e\xc3\x28.x\n";
    std::fs::write(trial.top.join(".git/info/attributes"), attributes).unwrap();
    trial.write("b.x", "n\n");
    trial.git(&["config", "core.hooksPath", hooks.to_str().unwrap()]);
    trial.write("a", "dirty\n").write("new", "n\n");
    let prepared = take(&trial, &dirty()).unwrap();
    assert!(!marker.exists(), "{}", std::fs::read_to_string(&marker).unwrap_or_default());
    assert_eq!(std::fs::read_to_string(unbundled(&trial, &prepared).join("a")).unwrap(), "dirty\n");

    let elsewhere = Trial::new();
    trial.git(&["config", "core.worktree", elsewhere.top.to_str().unwrap()]);
    let failure = take(&trial, &dirty()).unwrap_err();
    assert!(failure.message().contains("is not among the files"), "{failure:?}");
}

fn listed(prepared: &Prepared) -> Vec<String> {
    let mut archive = tar::Archive::new(&prepared.file);
    let entries = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
        let link = entry.link_name().unwrap().map(|link| format!(" -> {}", link.display())).unwrap_or_default();
        format!("{:o} {}{link}", header.mode().unwrap(), entry.path().unwrap().display())
    });
    entries.collect()
}

#[test]
fn a_folder_leaves_out_what_its_ignore_files_name_and_says_so() {
    let trial = Trial::empty();
    let folder = trial.beside("folder");
    for (name, content) in [
        (".gitignore", "target/\n*.log\n!keep.log\nlocal/\n"),
        (".worktreeinclude", "local/settings\n"),
        ("a", "a"),
        ("keep.log", "k"),
        ("x.log", "x"),
        ("target/big", "b"),
        ("target/.env", "TOKEN=1"),
        ("local/settings", "s"),
        ("local/other", "o"),
        ("sub/.gitignore", "deep\n"),
        ("sub/deep", "d"),
        ("sub/kept", "k"),
        (".git/config", "[core]\n\texcludesFile = /dev/null\n"),
    ] {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let prepared = of_folder(&folder, &Taking::default()).unwrap();
    let names: Vec<String> = listed(&prepared).iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
    let expected =
        [".git", ".git/config", ".gitignore", ".worktreeinclude", "a", "keep.log", "local", "local/settings", "sub"];
    assert_eq!(names, [&expected[..], &["sub/.gitignore", "sub/kept"]].concat());
    assert!(noted(&prepared, "local, sub/deep, target"), "{:?}", prepared.notes);
    assert!(noted(&prepared, "ignored (.gitignore)"), "{:?}", prepared.notes);
}

#[test]
fn a_folder_is_an_archive_in_a_fixed_order_and_of_nobody() {
    let trial = Trial::empty();
    let folder = trial.beside("folder");
    std::fs::create_dir_all(folder.join("b")).unwrap();
    std::fs::write(folder.join("b/file"), "x").unwrap();
    std::fs::write(folder.join("a.sh"), "x").unwrap();
    std::fs::set_permissions(folder.join("a.sh"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink("../../etc", folder.join("out")).unwrap();
    std::os::unix::fs::symlink("b/file", folder.join("in")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
    let long = "l".repeat(150);
    std::fs::write(folder.join(&long), "long").unwrap();
    let prepared = of_folder(&folder, &Taking::default()).unwrap();
    assert_eq!(
        listed(&prepared),
        ["755 a.sh", "755 b", "644 b/file", "777 in -> b/file", &format!("644 {long}"), "777 out -> ../../etc"]
    );
    for words in ["socket is not included", "1 symlink points out of the folder: out"] {
        assert!(noted(&prepared, words), "{words}: {:?}", prepared.notes);
    }
    assert_eq!(of_folder(&folder, &Taking::default()).unwrap().content, prepared.content);
    std::fs::write(folder.join("b/.env"), "A=1").unwrap();
    let failure = of_folder(&folder, &Taking::default()).unwrap_err();
    assert!(failure.message().contains("b/.env"), "{failure:?}");
    of_folder(&folder, &allowing("b")).unwrap();
}
