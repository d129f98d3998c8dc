use std::path::PathBuf;

use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::key::sshsig::SshSignature;

use super::*;
use crate::content::{Taking, of_repository};
use crate::git::trial::{Trial, git_at};

const REFERENCE: &str = "refs/agentd/w-a/1";

/// A result as agentd makes it: the change of `act` on `base`, signed, as a bundle.
struct Made {
    commit: String,
    base: String,
    bundle: File,
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32])
}

/// What a run does with a base: clones it, changes files, and its commit is signed by `signer`.
fn result(trial: &Trial, source: &Path, base: &str, signer: Option<&PrivateKey>, act: impl Fn(&Path)) -> Made {
    let work: PathBuf = trial.beside("run");
    let _ = std::fs::remove_dir_all(&work);
    git_at(&trial.top, &["clone", "-q", "--no-checkout", source.to_str().unwrap(), work.to_str().unwrap()]);
    git_at(&work, &["checkout", "-q", base]);
    act(&work);
    git_at(&work, &["add", "-A"]);
    let tree = git_at(&work, &["write-tree"]);
    let who = "fixer <fixer@agents.example> 1700000000 +0000";
    let head = format!("tree {tree}\nparent {base}\nauthor {who}\ncommitter {who}\n");
    let body = "\nMake it better\n";
    let unsigned = format!("{head}{body}");
    let object = match signer {
        Some(signer) => {
            let signature = SshSignature::sign(signer, "git", unsigned.as_bytes()).unwrap().to_string();
            format!("{head}gpgsig {}\n{body}", signature.trim_end().replace('\n', "\n "))
        }
        None => unsigned,
    };
    std::fs::write(work.join(".git/object"), object).unwrap();
    let commit = git_at(&work, &["hash-object", "-t", "commit", "-w", ".git/object"]);
    git_at(&work, &["update-ref", "refs/heads/agentd/w-a/1", &commit]);
    let path = trial.beside("result.bundle");
    let range = format!("{base}..agentd/w-a/1");
    git_at(&work, &["bundle", "create", "-q", path.to_str().unwrap(), &range]);
    Made { commit, base: base.to_owned(), bundle: File::open(path).unwrap() }
}

fn change(name: &'static str, content: &'static str) -> impl Fn(&Path) {
    move |work| std::fs::write(work.join(name), content).unwrap()
}

fn applied(trial: &Trial, made: &Made, way: &Way) -> Result<Applied, Failure> {
    let repository = Repository::open(&trial.top)?;
    let keys = [key(9).public_key(), key(1).public_key()];
    let named = Named { commit: &made.commit, base: &made.base, keys: &keys, of: "w-a, attempt 1" };
    apply(&repository, &made.bundle, &named, REFERENCE, way, Some(&trial.beside("bases")), false)
}

fn signed(trial: &Trial, act: impl Fn(&Path)) -> Made {
    let base = trial.git(&["rev-parse", "HEAD"]);
    result(trial, &trial.top, &base, Some(&key(1)), act)
}

#[test]
fn where_nothing_happened_since_the_branch_goes_forward_to_the_signed_commit_and_once_only() {
    let trial = Trial::new();
    let made = signed(&trial, change("a", "one\nbetter\nthree\n"));
    trial.write("sub/b", "dirty and not touched by it\n");
    assert_eq!(applied(&trial, &made, &Way::Commit).unwrap(), Applied::Forward);
    assert_eq!(
        (trial.git(&["rev-parse", "HEAD"]), trial.git(&["rev-parse", REFERENCE])),
        (made.commit.clone(), made.commit.clone())
    );
    assert_eq!(trial.read("a"), "one\nbetter\nthree\n");
    assert_eq!(trial.git(&["status", "--porcelain"]), " M sub/b");
    assert_eq!(trial.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
    trial.git(&["fsck", "--strict"]);
    let before = trial.snapshot();
    assert_eq!(applied(&trial, &made, &Way::Commit).unwrap(), Applied::Already);
    assert_eq!(trial.snapshot(), before);
}

#[test]
fn where_the_branch_went_on_the_change_is_picked_and_once_only() {
    let trial = Trial::new();
    let made = signed(&trial, change("a", "one\ntwo\nthree, better\n"));
    trial.write("sub/b", "went on\n");
    let head = trial.commit("went on");
    let Applied::Picked(commit) = applied(&trial, &made, &Way::Commit).unwrap() else { panic!("not picked") };
    assert_eq!(trial.git(&["rev-parse", "HEAD", "HEAD^"]), format!("{commit}\n{head}"));
    assert_eq!(trial.git(&["log", "-1", "--format=%an %cn"]), "fixer Person");
    assert_eq!((trial.read("a").as_str(), trial.read("sub/b").as_str()), ("one\ntwo\nthree, better\n", "went on\n"));
    assert_eq!(trial.git(&["status", "--porcelain"]), "");
    assert_eq!(applied(&trial, &made, &Way::Commit).unwrap(), Applied::Already);
    trial.write("a", "one\ntwo\nthree, and another\n");
    trial.commit("another");
    assert_eq!(applied(&trial, &made, &Way::Commit).unwrap(), Applied::Already, "it says where it was picked from");
    trial.git(&["fsck", "--strict"]);
}

#[test]
fn a_conflict_and_uncommitted_changes_are_refused_before_anything_is_touched() {
    let trial = Trial::new();
    let made = signed(&trial, |work| {
        std::fs::write(work.join("a"), "one\ntheirs\nthree\n").unwrap();
        std::fs::write(work.join("ignored.tmp"), "new\n").unwrap();
        git_at(work, &["add", "-f", "ignored.tmp"]);
    });
    for (name, content, words) in [
        ("a", "one\nmine\nthree\n", "uncommitted changes are in the way of w-a, attempt 1: a"),
        ("ignored.tmp", "mine\n", "ignored.tmp"),
    ] {
        trial.git(&["checkout", "-q", "."]);
        trial.write(name, content);
        let before = trial.snapshot();
        let failure = applied(&trial, &made, &Way::Commit).unwrap_err();
        assert!(failure.message().contains(words), "{failure:?}");
        assert_eq!(trial.snapshot(), before);
    }
    std::fs::remove_file(trial.top.join("ignored.tmp")).unwrap();
    trial.write("a", "one\nmine\nthree\n");
    trial.commit("mine");
    let before = trial.snapshot();
    let failure = applied(&trial, &made, &Way::Commit).unwrap_err();
    assert!(failure.message().contains("conflicts with what is committed here: a"), "{failure:?}");
    assert!(failure.told(false).contains("--branch"), "{failure:?}");
    assert_eq!(trial.snapshot(), before);
    assert_eq!(applied(&trial, &made, &Way::Branch("try".to_owned())).unwrap(), Applied::Branch);
    assert_eq!(trial.git(&["rev-parse", "try"]), made.commit);
    assert_eq!(applied(&trial, &made, &Way::Branch("try".to_owned())).unwrap(), Applied::Already);
    assert_eq!(applied(&trial, &made, &Way::Branch("main".to_owned())).unwrap_err().exit(), 1);
    assert_eq!(trial.read("a"), "one\nmine\nthree\n");
}

#[test]
fn a_conflict_of_a_file_with_a_folder_names_the_path_that_is_there() {
    let trial = Trial::new();
    let made = signed(&trial, |work| {
        std::fs::create_dir(work.join("place")).unwrap();
        std::fs::write(work.join("place/theirs"), "theirs\n").unwrap();
    });
    trial.write("place", "mine\n");
    trial.commit("mine");
    let failure = applied(&trial, &made, &Way::Commit).unwrap_err();
    assert!(failure.message().ends_with("conflicts with what is committed here: place"), "{failure:?}");
}

#[test]
fn links_that_lead_out_and_names_with_controls_are_told_and_taken_only_when_it_is_asked_for() {
    for (name, target, said) in [
        ("out", Some("/etc/passwd"), "out is a link that leads out of the tree: /etc/passwd"),
        ("sub/up", Some("../../up"), "sub/up is a link that leads out of the tree: ../../up"),
        ("bell\u{7}", None, "bell\\u{7} has control characters in its name"),
    ] {
        let trial = Trial::new();
        let made = signed(&trial, |work| match target {
            Some(target) => std::os::unix::fs::symlink(target, work.join(name)).unwrap(),
            None => std::fs::write(work.join(name), "text\n").unwrap(),
        });
        let before = trial.snapshot();
        for way in [Way::Commit, Way::NoCommit, Way::Branch("try".to_owned())] {
            let failure = applied(&trial, &made, &way).unwrap_err();
            assert!(failure.message().contains(said) && failure.told(false).contains("--unsafe-paths"), "{failure:?}");
            assert_eq!(trial.snapshot(), before);
        }
        let repository = Repository::open(&trial.top).unwrap();
        let keys = [key(1).public_key()];
        let named = Named { commit: &made.commit, base: &made.base, keys: &keys, of: "w-a, attempt 1" };
        let applied = apply(&repository, &made.bundle, &named, REFERENCE, &Way::Commit, None, true);
        assert_eq!(applied.unwrap(), Applied::Forward);
        assert!(trial.top.join(name).symlink_metadata().is_ok());
    }
    let trial = Trial::new();
    let made = signed(&trial, |work| std::os::unix::fs::symlink("../a", work.join("sub/inside")).unwrap());
    assert_eq!(applied(&trial, &made, &Way::Commit).unwrap(), Applied::Forward, "a link within the tree is a file");
}

#[test]
fn without_a_commit_index_and_files_have_it() {
    let trial = Trial::new();
    let made = signed(&trial, change("new", "new\n"));
    let head = trial.git(&["rev-parse", "HEAD"]);
    assert_eq!(applied(&trial, &made, &Way::NoCommit).unwrap(), Applied::Staged);
    assert_eq!((trial.git(&["rev-parse", "HEAD"]), trial.git(&["status", "--porcelain"])), (head, "A  new".to_owned()));
    assert_eq!(applied(&trial, &made, &Way::NoCommit).unwrap(), Applied::Already);
}

#[test]
fn what_the_agent_did_not_sign_is_not_taken() {
    let trial = Trial::new();
    let base = trial.git(&["rev-parse", "HEAD"]);
    let act = change("a", "evil\n");
    let stranger = key(2);
    let before = trial.snapshot();
    for (signer, words) in [(None, "is not signed"), (Some(&stranger), "no key of its agent")] {
        let made = result(&trial, &trial.top, &base, signer, &act);
        for way in [Way::Commit, Way::Branch("x".to_owned())] {
            let failure = applied(&trial, &made, &way).unwrap_err();
            assert!(failure.message().contains(words), "{failure:?}");
        }
    }
    let good = result(&trial, &trial.top, &base, Some(&key(1)), &act);
    let other = Made { commit: "0".repeat(40), base: base.clone(), bundle: good.bundle.try_clone().unwrap() };
    let failure = applied(&trial, &other, &Way::Commit).unwrap_err();
    assert!(failure.message().contains("does not hold the commit"), "{failure:?}");
    let mut text = Vec::new();
    (&good.bundle).rewind().unwrap();
    (&good.bundle).read_to_end(&mut text).unwrap();
    let at = text.len() - 40;
    text[at] ^= 1;
    let path = trial.beside("changed.bundle");
    std::fs::write(&path, text).unwrap();
    let changed = Made { commit: good.commit.clone(), base, bundle: File::open(path).unwrap() };
    assert_eq!(applied(&trial, &changed, &Way::Commit).unwrap_err().exit(), 1);
    assert_eq!(trial.snapshot(), before);
}

#[test]
fn a_result_on_files_that_were_not_committed_goes_into_those_files() {
    let trial = Trial::new();
    trial.write("a", "one\nmine\nthree\n").write("unknown", "u\n");
    let taking = Taking { include_dirty: true, keep: Some(trial.beside("bases")), ..Taking::default() };
    let prepared = of_repository(&trial.top, None, &taking).unwrap();
    let base = prepared.content.base.clone().unwrap();
    let source = trial.beside("source");
    std::fs::create_dir(&source).unwrap();
    git_at(&source, &["init", "-q"]);
    let bundle = trial.beside("in.bundle");
    std::io::copy(&mut prepared.into_file(), &mut File::create(&bundle).unwrap()).unwrap();
    git_at(&source, &["fetch", "-q", bundle.to_str().unwrap(), "refs/agentd/base:refs/heads/base"]);
    let made = result(&trial, &source, &base, Some(&key(1)), change("a", "one\nmine\nthree, better\n"));
    let head = trial.git(&["rev-parse", "HEAD"]);
    assert_eq!(applied(&trial, &made, &Way::Commit).unwrap(), Applied::Files);
    assert_eq!((trial.read("a").as_str(), trial.git(&["rev-parse", "HEAD"])), ("one\nmine\nthree, better\n", head));
    assert_eq!(applied(&trial, &made, &Way::Commit).unwrap(), Applied::Already);
    trial.git(&["fsck", "--strict"]);
    std::fs::remove_dir_all(trial.beside("bases")).unwrap();
    trial.git(&["update-ref", "-d", REFERENCE]);
    trial.git(&["reflog", "expire", "--expire=now", "--all"]);
    trial.git(&["gc", "-q", "--prune=now"]);
    let failure = applied(&trial, &made, &Way::Commit).unwrap_err();
    assert!(failure.message().contains("is not in"), "{failure:?}");
}

#[test]
fn a_shallow_clone_takes_a_result_on_a_base_without_history() {
    let origin = Trial::new();
    origin.write("sub/b", "second\n");
    origin.commit("second");
    let shallow = origin.beside("shallow");
    let url = format!("file://{}", origin.top.display());
    git_at(&origin.top, &["clone", "-q", "--depth=1", &url, shallow.to_str().unwrap()]);
    let taking = Taking { keep: Some(origin.beside("bases")), ..Taking::default() };
    let prepared = of_repository(&shallow, None, &taking).unwrap();
    let base = prepared.content.base.clone().unwrap();
    let source = origin.beside("source");
    std::fs::create_dir(&source).unwrap();
    git_at(&source, &["init", "-q"]);
    let bundle = origin.beside("in.bundle");
    std::io::copy(&mut prepared.into_file(), &mut File::create(&bundle).unwrap()).unwrap();
    git_at(&source, &["fetch", "-q", bundle.to_str().unwrap(), "refs/agentd/base:refs/heads/base"]);
    let made = result(&origin, &source, &base, Some(&key(1)), change("a", "better\n"));
    let repository = Repository::open(&shallow).unwrap();
    let keys = [key(1).public_key()];
    let named = Named { commit: &made.commit, base: &made.base, keys: &keys, of: "w-a" };
    git_at(&shallow, &["config", "user.name", "P"]);
    git_at(&shallow, &["config", "user.email", "p@x"]);
    let done =
        apply(&repository, &made.bundle, &named, REFERENCE, &Way::Commit, taking.keep.as_deref(), false).unwrap();
    assert!(matches!(done, Applied::Picked(_)), "{done:?}");
    assert_eq!(std::fs::read_to_string(shallow.join("a")).unwrap(), "better\n");
    git_at(&shallow, &["fsck", "--strict"]);
}

#[test]
fn a_repository_of_hostile_settings_runs_nothing_while_a_result_is_applied() {
    use std::os::unix::fs::PermissionsExt;
    let trial = Trial::new();
    trial.write(".gitattributes", "* filter=evil merge=evil\n");
    trial.commit("attributes");
    let made = signed(&trial, change("a", "one\nbetter\nthree\n"));
    trial.write("sub/b", "went on\n");
    trial.commit("went on");
    let (marker, program) = (trial.beside("marker"), trial.beside("program"));
    std::fs::write(&program, format!("#!/bin/sh\necho $0 >> {}\ncat\n", marker.display())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    for hook in ["post-checkout", "post-merge", "post-index-change", "reference-transaction"] {
        let hooks = trial.top.join(".git/hooks");
        std::fs::create_dir_all(&hooks).unwrap();
        std::os::unix::fs::symlink(&program, hooks.join(hook)).unwrap();
    }
    for name in ["filter.evil.smudge", "filter.evil.clean", "merge.evil.driver", "core.fsmonitor", "gpg.program"] {
        trial.git(&["config", name, program.to_str().unwrap()]);
    }
    let _ = std::fs::remove_file(&marker);
    assert!(matches!(applied(&trial, &made, &Way::Commit).unwrap(), Applied::Picked(_)));
    assert!(!marker.exists(), "{}", std::fs::read_to_string(&marker).unwrap_or_default());
}

#[test]
fn a_folder_that_is_a_repository_of_hostile_settings_runs_nothing_while_a_diff_goes_into_it() {
    use std::os::unix::fs::PermissionsExt;
    let trial = Trial::new();
    let (marker, program) = (trial.beside("marker"), trial.beside("program"));
    std::fs::write(&program, format!("#!/bin/sh\necho $0 >> {}\ncat\n", marker.display())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["filter.evil.smudge", "filter.evil.clean", "core.fsmonitor"] {
        trial.git(&["config", name, program.to_str().unwrap()]);
    }
    std::fs::create_dir_all(trial.top.join(".git/info")).unwrap();
    std::fs::write(trial.top.join(".git/info/attributes"), "* filter=evil\n").unwrap();
    let path = trial.beside("d.diff");
    std::fs::write(&path, "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n").unwrap();
    for expected in [Applied::Files, Applied::Already] {
        for folder in [&trial.top, &trial.top.join("sub/..")] {
            let done = to_folder(folder, File::open(&path).unwrap(), "w-a", false).unwrap();
            assert!(done == expected || done == Applied::Already, "{done:?}");
        }
    }
    assert_eq!(trial.read("a"), "one\n2\nthree\n");
    assert!(!marker.exists(), "{}", std::fs::read_to_string(&marker).unwrap_or_default());
}

#[test]
fn a_diff_goes_into_a_folder_whole_or_not_at_all() {
    let trial = Trial::empty();
    let folder = trial.top.join("folder");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("a"), "one\n").unwrap();
    let diff = |text: &str| {
        let path = trial.beside("d.diff");
        std::fs::write(&path, text).unwrap();
        File::open(path).unwrap()
    };
    let good = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-one\n+two\n";
    assert_eq!(to_folder(&folder, diff(good), "w-a", false).unwrap(), Applied::Files);
    assert_eq!(std::fs::read_to_string(folder.join("a")).unwrap(), "two\n");
    assert_eq!(to_folder(&folder, diff(good), "w-a", false).unwrap(), Applied::Already);
    let out = "diff --git a/../x b/../x\nnew file mode 100644\n--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n";
    assert_eq!(to_folder(&folder, diff(out), "w-a", false).unwrap_err().exit(), 1);
    std::fs::write(folder.join("a"), "three\n").unwrap();
    let failure = to_folder(&folder, diff(good), "w-a", false).unwrap_err();
    assert!(failure.message().contains("does not fit"), "{failure:?}");
}
