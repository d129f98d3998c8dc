//! The whole way of a run, from what was handed in to a branch that a person fetches.

use std::fs;
use std::process::Command;

use agentd::runner::{
    CommitDraft, Identity, Look, ObjectFormat, Step, began, commit, lay_out, level_begun, look, put_record_aside,
    sealed, spec, spec_sha256,
};
use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::launch::{Ending, Level};

use crate::scene::{Repository, Scene, WORK, levels};

#[test]
fn what_is_left_of_a_start_that_never_began_is_put_aside_and_makes_room_for_another() {
    let scene = Scene::new(Level::Landlock, "true");
    let folder = scene.folder();
    put_record_aside(&folder, Step::Setup).unwrap();
    for number in [1, 2] {
        fs::create_dir_all(folder.record(Step::Setup)).unwrap();
        fs::write(folder.record(Step::Setup).join("shim.log"), number.to_string()).unwrap();
        put_record_aside(&folder, Step::Setup).unwrap();
        assert!(!folder.record(Step::Setup).exists());
        let aside = folder.folder().join(format!(".setup.{number}/shim.log"));
        assert_eq!(fs::read_to_string(aside).unwrap(), number.to_string());
    }
    assert_eq!(look(&folder, Step::Setup).unwrap(), Look::Absent);
}

#[test]
fn a_run_keeps_the_level_that_its_first_step_had() {
    let scene = Scene::new(Level::Landlock, "true");
    lay_out(&scene.host, &scene.job).unwrap();
    assert_eq!(level_begun(&scene.folder()), None);
    let spec = spec(&scene.host, &scene.job, Step::Program(1), &scene.context.lock().unwrap()).unwrap();
    fs::write(scene.folder().spec(Step::Program(1)), serde_json::to_vec(&spec).unwrap()).unwrap();
    assert_eq!(level_begun(&scene.folder()), Some(Level::Landlock));
}

fn whole_way(format: &str) {
    for &level in levels() {
        let script = "git log --format=%an -1; printf 'fixed\\n' >src/a; git commit -qam mine; echo more >src/new";
        let mut scene = Scene::new(level, script);
        let person = Repository::new(&scene, "person", format);
        person.write("src/a", "broken\n").write("tests/t.sh", "grep -q fixed src/a\n");
        let base = person.commit();
        let bundle = person.bundle(&scene);
        scene.bundle_workspace(&base);
        scene.accept(serde_json::json!({ "command": "sh tests/t.sh && git diff --stat HEAD~1", "protected_paths": ["tests/**"] }));
        assert_eq!(scene.prepare(&bundle), base);
        // On the base the criterion is not met, and that is a judgement.
        assert_eq!(scene.run(Step::Base(0), None).ending, Ending::Exited(1), "{}", scene.said(Step::Base(0)));
        assert!(began(&scene.folder(), Step::Base(0)).unwrap().is_some());
        scene.done(Step::Program(1), None);
        scene.done(Step::Collect, None);
        let collected = agentd::runner::collected(&scene.folder()).unwrap();
        let changed: Vec<(&str, char)> = collected.changes.iter().map(|c| (c.path.as_str(), c.status)).collect();
        assert_eq!(changed, [("src/a", 'M'), ("src/new", 'A')]);
        assert_eq!((collected.changes[0].added, collected.changes[0].removed), (1, 1));
        assert_eq!(collected.files, ["src/a", "src/new", "tests/t.sh"]);
        assert_eq!(scene.check(0, &collected).ending, Ending::Exited(0), "{}", scene.said(Step::Check(0)));
        assert!(scene.said(Step::Check(0)).contains("2 files changed"), "{}", scene.said(Step::Check(0)));

        let key = PrivateKey::from_seed(&[9; 32]);
        let draft = CommitDraft {
            format: ObjectFormat::of(&base).unwrap(),
            tree: collected.tree.clone(),
            parents: vec![base.clone()],
            author: Identity { name: "fixer".to_owned(), email: "fixer@host.example".to_owned() },
            seconds: 1_700_000_000,
            title: "Make it pass".to_owned(),
            body: String::new(),
            trailers: vec![("Agentd-Work".to_owned(), WORK.to_owned())],
        };
        let made = commit(&draft, &key).unwrap();
        let id = made.id.clone();
        scene.context.lock().unwrap().commit = Some(made);
        scene.done(Step::Seal, None);
        assert_eq!(sealed(&scene.folder()).unwrap(), id);
        fetched_and_verified(&scene, &person, &key, &id, &base);
        // The same job gives the same spec, and so the same evidence.
        let again = || spec(&scene.host, &scene.job, Step::Check(0), &scene.context.lock().unwrap()).unwrap();
        assert_eq!(spec_sha256(&again()), spec_sha256(&again()));
    }
}

/// The person takes the branch, git and ssh-keygen agree about its signature, and the diff is the same.
fn fetched_and_verified(scene: &Scene, person: &Repository, key: &PrivateKey, id: &str, base: &str) {
    let branch = format!("agentd/{WORK}/1");
    let bundle = scene.folder().bundle();
    person.git(&["fetch", "-q", bundle.to_str().unwrap(), &format!("refs/heads/{branch}:refs/heads/{branch}")]);
    assert_eq!(person.git(&["rev-parse", &branch]), id);
    assert_eq!(person.git(&["rev-parse", &format!("{branch}~1")]), base);
    person.git(&["fsck", "--strict"]);
    let signers = scene.path("signers");
    fs::write(&signers, format!("fixer@host.example {}\n", key.public_key())).unwrap();
    let setting = format!("gpg.ssh.allowedSignersFile={}", signers.display());
    let verified = person.try_git(&["-c", &setting, "-c", "gpg.format=ssh", "verify-commit", id]);
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.contains("Good \"git\" signature for fixer@host.example"), "{said}");

    let object = person.git(&["cat-file", "commit", id]) + "\n";
    let header = if id.len() == 64 { "gpgsig-sha256 " } else { "gpgsig " };
    let (head, rest) = object.split_once(header).unwrap();
    let (folded, message) = rest.split_once("\n\n").unwrap();
    fs::write(scene.path("signature"), folded.replace("\n ", "\n") + "\n").unwrap();
    fs::write(scene.path("signed"), format!("{head}\n{message}")).unwrap();
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "verify", "-n", "git", "-I", "fixer@host.example", "-f"]).arg(&signers);
    command.arg("-s").arg(scene.path("signature")).stdin(fs::File::open(scene.path("signed")).unwrap());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    person.git(&["apply", "--check", scene.folder().changes().to_str().unwrap()]);
}

#[test]
fn from_a_bundle_to_a_signed_branch_that_a_person_fetches() {
    whole_way("sha1");
}

#[test]
fn the_same_in_a_repository_of_sha256() {
    whole_way("sha256");
}
