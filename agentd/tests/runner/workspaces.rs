//! What workspaces are made from, and what they are not.

use std::fs;
use std::path::Path;
use std::process::Command;

use agentd::runner::{CommitDraft, Identity, Step, commit};
use agentd_schemas::key::openssh::PrivateKey;

use crate::scene::{Repository, Scene, levels};

#[test]
fn submodules_and_large_file_pointers_stay_what_they_are() {
    for &level in levels() {
        let mut scene = Scene::new(level, "cat big.bin; echo x >sub/dropped; echo y >>src");
        let other = Repository::new(&scene, "other", "sha1");
        other.write("o", "o\n").commit();
        let person = Repository::new(&scene, "person", "sha1");
        person.git(&["submodule", "--quiet", "add", other.0.to_str().unwrap(), "sub"]);
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
        person.write("big.bin", pointer).write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
        let base = person.write("src", "x\n").commit();
        let bundle = person.bundle(&scene);
        scene.bundle_workspace(&base);
        let collected = scene.up_to_collected(&bundle);
        assert!(scene.said(Step::Program(1)).contains(pointer));
        let changed: Vec<&str> = collected.changes.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(changed, ["src"]);
        let left: Vec<(&str, &str)> = collected.left_out.iter().map(|left| (left.kind, left.path.as_str())).collect();
        assert_eq!(left, [("submodule", "sub")]);
    }
}

#[test]
fn a_bundle_that_lies_is_no_workspace() {
    for &level in levels() {
        let mut scene = Scene::new(level, "true");
        let person = Repository::new(&scene, "person", "sha1");
        let first = person.write("a", "1\n").commit();
        person.write("b", vec![b'x'; 100_000]).write("c", "3\n");
        let second = person.commit();
        let bundle = person.bundle(&scene);
        let whole = fs::read(&bundle).unwrap();
        let said = |scene: &mut Scene, base: &str, bytes: &[u8]| {
            let _ = fs::remove_dir_all(scene.folder().folder());
            fs::write(scene.path("lie"), bytes).unwrap();
            scene.bundle_workspace(base);
            let said = scene.fails(Step::Prepare, Some(&scene.path("lie")));
            let left: Vec<_> = fs::read_dir(scene.folder().workspace()).unwrap().collect();
            assert!(left.is_empty(), "{left:?}");
            said
        };
        assert!(said(&mut scene, &first, &whole).contains("and the work begins with"));
        for bytes in [&whole[..whole.len() / 2], &whole[..40], b"", b"# v2 git bundle\n", &[7; 5000]] {
            assert!(said(&mut scene, &second, bytes).contains("the bundle cannot be used"), "{} bytes", bytes.len());
        }
        let clone = scene.path("shallow");
        let _ = fs::remove_dir_all(&clone);
        let from = format!("file://{}", person.0.display());
        person.git(&["clone", "-q", "--depth=1", "--branch=main", &from, clone.to_str().unwrap()]);
        let shallow = fs::read(Repository(clone).bundle(&scene)).unwrap();
        assert!(said(&mut scene, &second, &shallow).contains("a shallow clone?"));
        let mut flipped = whole.clone();
        let place = flipped.len() - 30;
        flipped[place] ^= 1;
        said(&mut scene, &second, &flipped);
        let path = scene.path("thin.bundle");
        person.git(&["bundle", "create", "-q", path.to_str().unwrap(), "refs/agentd/base", &format!("^{first}")]);
        assert!(said(&mut scene, &second, &fs::read(&path).unwrap()).contains("the bundle cannot be used"));
        person.git(&["bundle", "create", "-q", path.to_str().unwrap(), "main"]);
        said(&mut scene, &second, &fs::read(&path).unwrap());
        scene.job.runtime.resources.workspace_files_max = Some(2);
        assert!(said(&mut scene, &second, &whole).contains("more than 2 files"));
    }
}

#[test]
fn a_bundle_with_a_repository_inside_its_tree_is_refused() {
    for &level in levels() {
        let mut scene = Scene::new(level, "true");
        let person = Repository::new(&scene, "person", "sha1");
        person.write("a", "1\n").commit();
        let blob = person.git(&["rev-parse", "HEAD:a"]);
        fs::write(scene.path("entries"), format!("100644 blob {blob}\tconfig\n")).unwrap();
        let make = |path: &Path| {
            let file = fs::File::open(path).unwrap();
            let output = Command::new("git").arg("-C").arg(&person.0).arg("mktree").stdin(file).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let inner = make(&scene.path("entries"));
        fs::write(scene.path("entries"), format!("040000 tree {inner}\t.git\n")).unwrap();
        let tree = make(&scene.path("entries"));
        let commit = person.git(&["commit-tree", &tree, "-m", "x"]);
        person.git(&["reset", "-q", "--soft", &commit]);
        let bundle = person.bundle(&scene);
        scene.bundle_workspace(&commit);
        scene.fails(Step::Prepare, Some(&bundle));
        assert!(!scene.folder().workspace().join(".git").exists());
    }
}

fn tar(scene: &Scene, arguments: &[&str]) -> std::path::PathBuf {
    let path = scene.path("in.tar");
    let _ = fs::remove_file(&path);
    let mut command = Command::new("tar");
    command.arg("-cf").arg(&path).arg("-C").arg(scene.path("tree")).args(arguments);
    assert!(command.status().unwrap().success());
    path
}

#[test]
fn a_tar_is_a_commit_that_comes_out_the_same_each_time() {
    for &level in levels() {
        let mut bases = Vec::new();
        for mtime in ["--mtime=@1", "--mtime=@1000000000"] {
            let mut scene = Scene::new(level, "./run; echo changed >a; rm -r dir");
            let tree = scene.path("tree");
            fs::create_dir_all(tree.join("dir/.git")).unwrap();
            fs::write(tree.join("dir/.git/config"), "[core]\n\tfsmonitor = true\n").unwrap();
            fs::write(tree.join("a"), "a\n").unwrap();
            fs::write(tree.join("dir/b"), "b\n").unwrap();
            fs::write(tree.join(".gitignore"), "a\n").unwrap();
            fs::write(tree.join("run"), "#!/bin/sh\necho ran\n").unwrap();
            assert!(Command::new("chmod").arg("755").arg(tree.join("run")).status().unwrap().success());
            std::os::unix::fs::symlink("dir/b", tree.join("link")).unwrap();
            let archive = tar(&scene, &[mtime, "."]);
            scene.tar_workspace();
            let collected = scene.up_to_collected(&archive);
            assert!(scene.said(Step::Program(1)).contains("ran"));
            let changed: Vec<(&str, char)> = collected.changes.iter().map(|c| (c.path.as_str(), c.status)).collect();
            assert_eq!(changed, [("a", 'M'), ("dir/b", 'D')]);
            bases.push(collected.base);
        }
        assert_eq!(bases[0], bases[1]);
    }
}

#[test]
fn a_tar_that_leads_out_reaches_nothing() {
    for &level in levels() {
        let mut scene = Scene::new(level, "true");
        scene.tar_workspace();
        fs::create_dir_all(scene.path("tree/in")).unwrap();
        fs::write(scene.path("tree/x"), "x\n").unwrap();
        let prepare = |archive: &Path| {
            let _ = fs::remove_dir_all(scene.folder().folder());
            scene.run(Step::Prepare, Some(archive));
        };
        prepare(&tar(&scene, &["-P", "--transform=s,^x$,../../escaped,", "x"]));
        prepare(&tar(&scene, &["-P", &format!("--transform=s,^x$,{},", scene.path("runs/escaped").display()), "x"]));
        // A link first, then a file through it.
        std::os::unix::fs::symlink(scene.path("runs"), scene.path("tree/out")).unwrap();
        prepare(&tar(&scene, &["-P", "--transform=s,^x$,out/escaped,", "out", "x"]));
        for name in ["escaped", "runs/escaped"] {
            assert!(!scene.path(name).exists(), "{name}");
        }
        fs::write(scene.path("garbage"), [9; 4000]).unwrap();
        let _ = fs::remove_dir_all(scene.folder().folder());
        assert!(scene.fails(Step::Prepare, Some(&scene.path("garbage"))).contains("cannot be unpacked"));
    }
}

#[test]
fn a_program_that_changes_nothing_leaves_a_bundle_with_all_of_a_tar() {
    for &level in levels() {
        let mut scene = Scene::new(level, "true");
        fs::create_dir_all(scene.path("tree/empty")).unwrap();
        fs::write(scene.path("tree/a b"), "x\n").unwrap();
        let archive = tar(&scene, &["."]);
        scene.tar_workspace();
        let collected = scene.up_to_collected(&archive);
        assert!(collected.changes.is_empty() && collected.left_out.is_empty());
        assert_eq!(fs::read(scene.folder().changes()).unwrap(), b"");
        let author = Identity { name: String::new(), email: String::new() };
        let draft = CommitDraft {
            format: collected.format,
            tree: collected.tree.clone(),
            parents: vec![collected.base.clone()],
            author,
            seconds: 0,
            title: String::new(),
            body: String::new(),
            trailers: Vec::new(),
        };
        let made = commit(&draft, &PrivateKey::from_seed(&[1; 32])).unwrap();
        let id = made.id.clone();
        scene.context.lock().unwrap().commit = Some(made);
        scene.done(Step::Seal, None);
        let person = Repository::new(&scene, "person", "sha1");
        person.git(&["fetch", "-q", scene.folder().bundle().to_str().unwrap(), "refs/heads/*:refs/heads/*"]);
        assert_eq!(person.git(&["show", &format!("{id}:a b")]), "x");
        person.git(&["fsck", "--strict"]);
        // A commit that is not what the daemon made is not stored.
        let mut context = scene.context.lock().unwrap();
        context.commit.as_mut().unwrap().bytes.push(b'!');
        drop(context);
        fs::remove_dir_all(scene.folder().record(Step::Seal)).unwrap();
        assert!(scene.fails(Step::Seal, None).contains("git names the commit"));
    }
}

/// Seconds since 1970.
fn now_s() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

#[test]
fn a_change_of_the_same_size_in_the_second_of_the_checkout_is_collected() {
    use std::os::unix::fs::MetadataExt as _;
    for &level in levels() {
        for _ in 0..50 {
            let mut scene = Scene::new(level, "echo new >f");
            let person = Repository::new(&scene, "person", "sha1");
            let base = person.write("f", "old\n").commit();
            let bundle = person.bundle(&scene);
            scene.bundle_workspace(&base);
            scene.prepare(&bundle);
            let checked_out = fs::metadata(scene.folder().workspace().join("f")).unwrap();
            scene.done(Step::Program(1), None);
            let changed = fs::metadata(scene.folder().workspace().join("f")).unwrap();
            if (checked_out.mtime(), checked_out.ctime()) != (changed.mtime(), changed.ctime()) {
                // The second was over.
                continue;
            }
            while now_s() <= changed.mtime() {
                std::thread::yield_now();
            }
            scene.done(Step::Collect, None);
            let collected = agentd::runner::collected(&scene.folder()).unwrap();
            let changed: Vec<&str> = collected.changes.iter().map(|change| change.path.as_str()).collect();
            assert_eq!(changed, ["f"], "at level {}", level.as_str());
            break;
        }
    }
}
