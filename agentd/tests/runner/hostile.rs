//! What programs leave behind to mislead who collects and judges.

use agentd::runner::{Output, Step, began, collected, command_output_end};
use agentd_schemas::launch::Ending;
use agentd_schemas::unit::size::Size;

use crate::scene::{Repository, Scene, levels};

/// A scene with a small repository, at each level.
fn each(script: &str, then: impl Fn(Scene, &std::path::Path)) {
    for &level in levels() {
        let mut scene = Scene::new(level, script);
        let person = Repository::new(&scene, "person", "sha1");
        person.write("src/a", "a\n").write("src/b", "b\n").write("tests/t.sh", "grep -q fixed src/a\n");
        person.write(".gitignore", "*.o\n");
        let base = person.commit();
        let bundle = person.bundle(&scene);
        scene.bundle_workspace(&base);
        then(scene, &bundle);
    }
}

#[test]
fn a_repository_that_the_program_made_a_trap_of_means_nothing() {
    let script = r#"
        for hook in pre-commit post-index-change post-checkout reference-transaction; do
            mkdir -p .git/hooks
            printf '#!/bin/sh\ntouch %s/sprung\n' "$HOME" >.git/hooks/$hook
        done
        cat >>.git/config <<END
[core]
	fsmonitor = touch $HOME/sprung
	hooksPath = $PWD/.git/hooks
	sshCommand = touch $HOME/sprung
	worktree = /
[filter "evil"]
	clean = touch $HOME/sprung; cat
	smudge = touch $HOME/sprung; cat
	required = true
[diff "evil"]
	command = touch $HOME/sprung
	textconv = touch $HOME/sprung
[include]
	path = /etc/passwd
END
        printf '* filter=evil diff=evil\n' >.gitattributes
        printf '/\n/etc\n' >.git/objects/info/alternates
        printf 'ref: refs/heads/../../x\n' >.git/HEAD
        printf garbage >.git/index
        echo changed >src/a
    "#;
    each(script, |mut scene, bundle| {
        scene.accept(serde_json::json!({ "command": "test ! -e .git/hooks && grep changed src/a" }));
        let collected = scene.up_to_collected(bundle);
        let changed: Vec<&str> = collected.changes.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(changed, [".gitattributes", "src/a"]);
        assert_eq!(scene.check(0, &collected).ending, Ending::Exited(0), "{}", scene.said(Step::Check(0)));
        assert!(!scene.folder().home().join("sprung").exists());
    });
    for replaced in ["rm -rf .git; echo 'gitdir: /' >.git", "rm -rf .git; ln -s / .git", "rm -rf .git; mkfifo .git"] {
        each(&format!("{replaced}; echo changed >src/a"), |scene, bundle| {
            let collected = scene.up_to_collected(bundle);
            assert_eq!(collected.changes.len(), 1, "{replaced}: {:?}", collected.changes);
        });
    }
}

#[test]
fn tests_that_the_program_made_easy_are_put_back_and_named() {
    let scripts = [
        "echo true >tests/t.sh",
        "rm -r tests; mkdir tests; echo true >tests/t.sh; echo x >tests/new",
        "mv tests other; ln -s other tests; echo true >other/t.sh",
        "rm -r tests; echo true >tests",
        "rm -rf tests .git",
    ];
    for script in scripts {
        each(script, |mut scene, bundle| {
            let command = "test ! -e tests/new && sh tests/t.sh";
            scene.accept(serde_json::json!({ "command": "sh tests/t.sh || true" }));
            scene.accept(serde_json::json!({ "command": command, "protected_paths": ["tests/**", "*.none"] }));
            let collected = scene.up_to_collected(bundle);
            assert_eq!(
                scene.check(1, &collected).ending,
                Ending::Exited(1),
                "{script}: {}",
                scene.said(Step::Check(1))
            );
            assert!(began(&scene.folder(), Step::Check(1)).unwrap().is_some());
            let named = collected.protected_changed(1);
            assert!(named.iter().any(|path| path == "tests/t.sh"), "{script}: {named:?}");
            assert!(collected.protected_changed(0).is_empty());
        });
    }
}

#[test]
fn what_no_tree_can_have_is_left_out_by_name_and_links_stay_links() {
    let script = r#"
        ln -s /etc/passwd out; ln -s ../../.. up; mkfifo pipe; echo x >x.o
        mknod device c 1 3 2>/dev/null || true
        python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")' 2>/dev/null || true
        mkdir nested empty 'odd name'; cd nested
        git init -q . >/dev/null 2>&1 || mkdir .git; echo inner >file; cd ..
        printf 'x' >"odd name/new
line"
        rm src/b; mkfifo src/b
        rm -r tests; mkdir -p elsewhere; echo t >elsewhere/t.sh; ln -s elsewhere tests
        printf '\000\001' >binary; echo '* diff' >.gitattributes
    "#;
    each(script, |scene, bundle| {
        let collected = scene.up_to_collected(bundle);
        let files: Vec<&str> = collected.files.iter().map(String::as_str).collect();
        let expected = [
            ".gitattributes",
            ".gitignore",
            "binary",
            "elsewhere/t.sh",
            "nested/file",
            "odd name/new\nline",
            "out",
            "src/a",
            "tests",
            "up",
        ];
        assert_eq!(files, expected);
        let left = |kind: &str| -> Vec<&str> {
            collected.left_out.iter().filter(|left| left.kind == kind).map(|left| left.path.as_str()).collect()
        };
        let mut pipes = left("fifo");
        pipes.sort_unstable();
        assert_eq!(pipes, ["pipe", "src/b"]);
        assert_eq!(left("repository"), ["nested/.git"]);
        assert_eq!(left("device"), Vec::<&str>::new());
        let of = |path: &str| collected.changes.iter().find(|change| change.path == path).unwrap();
        assert!(of("binary").binary);
        assert_eq!((of("src/b").status, of("tests/t.sh").status, of("out").added), ('D', 'D', 1));
        let diff = std::fs::read_to_string(scene.folder().changes()).unwrap();
        assert!(diff.contains("new file mode 120000") && !diff.contains("root:"), "{diff}");
    });
}

#[test]
fn a_file_that_lets_nobody_read_it_is_not_told_as_removed() {
    let script = "python3 -c 'import os; os.fchmod(os.open(\"src/a\", os.O_RDONLY), 0)'";
    each(script, |scene, bundle| {
        scene.prepare(bundle);
        scene.done(Step::Program(1), None);
        let said = scene.fails(Step::Collect, None);
        assert!(said.contains("src/a lets nobody read it"), "{said}");
        assert!(collected(&scene.folder()).is_err());
    });
}

#[test]
fn a_workspace_without_end_is_refused_with_what_makes_it_so() {
    each("i=0; while [ $i -lt 1200 ]; do : >f$i; i=$((i + 1)); done", |mut scene, bundle| {
        scene.job.runtime.resources.workspace_files_max = Some(1000);
        scene.prepare(bundle);
        scene.done(Step::Program(1), None);
        assert!(scene.fails(Step::Collect, None).contains("more than 1000 files"), "{}", scene.said(Step::Collect));
        assert!(collected(&scene.folder()).is_err());
    });
    // One file cannot grow so large, and many that claim to be are counted as what they claim.
    let script = "truncate -s 100G huge 2>&1 && exit 9; for i in 1 2 3; do truncate -s 90M sparse$i; done";
    each(script, |mut scene, bundle| {
        scene.job.runtime.resources.workspace_max = Some(Size::from_bytes(100 << 20).unwrap());
        scene.prepare(bundle);
        scene.done(Step::Program(1), None);
        let said = scene.fails(Step::Collect, None);
        assert!(said.contains("at most 104857600 are allowed; the largest file is sparse"), "{said}");
    });
}

#[test]
fn what_is_hidden_or_lies_in_the_home_counts() {
    // A folder that is closed may hold anything.
    for place in ["shut", "$HOME/shut"] {
        let shut = "import os, sys; os.fchmod(os.open(sys.argv[1], os.O_RDONLY), 0)";
        let script = format!("mkdir {place}; truncate -s 90M {place}/a {place}/b; python3 -c '{shut}' {place}");
        each(&script, |scene, bundle| {
            scene.prepare(bundle);
            scene.done(Step::Program(1), None);
            let said = scene.fails(Step::Collect, None);
            assert!(said.contains("cannot be seen") && said.contains("shut"), "{said}");
            assert!(collected(&scene.folder()).is_err());
        });
    }
    each("truncate -s 60M big; truncate -s 70M \"$HOME/cache\"", |mut scene, bundle| {
        scene.job.runtime.resources.workspace_max = Some(Size::from_bytes(100 << 20).unwrap());
        scene.prepare(bundle);
        scene.done(Step::Program(1), None);
        let said = scene.fails(Step::Collect, None);
        assert!(said.contains("at most 104857600 are allowed; the largest file is ~/cache"), "{said}");
    });
}

#[test]
fn names_that_are_no_utf8_have_their_own_lines() {
    let script = r#"seq 5000 >"$(printf '\200a')"; echo one >"$(printf '\201a')"; echo two >'\x80a'"#;
    each(script, |scene, bundle| {
        let collected = scene.up_to_collected(bundle);
        let found: Vec<(&str, u64)> = collected.changes.iter().map(|c| (c.path.as_str(), c.added)).collect();
        assert_eq!(found, [(r"\\x80a", 1), (r"\x80a", 5000), (r"\x81a", 1)]);
    });
}

#[test]
fn a_fifo_where_git_looks_for_rules_is_no_wait() {
    each("rm .gitignore; mkfifo .gitignore; mkdir a; mkfifo a/.gitattributes", |scene, bundle| {
        scene.prepare(bundle);
        scene.done(Step::Program(1), None);
        let said = scene.fails(Step::Collect, None);
        assert!(said.contains("is no file"), "{said}");
    });
}

#[test]
fn a_command_judges_without_reach_and_what_did_not_begin_is_no_judgement() {
    each("true", |mut scene, bundle| {
        let reach = format!(
            "for place in {0}/base {0}/result /run/base /run/result; do echo x >$place/x && exit 7; done; \
             (echo >/dev/tcp/127.0.0.1/1) 2>/dev/null && exit 8; rm -rf $HOME/* $HOME/.[a-z]*; echo told >&2; \
             test -z \"$GIT_DIR$GIT_AUTHOR_NAME\" && exit 125",
            scene.folder().folder().display()
        );
        scene.accept(serde_json::json!({ "command": reach }));
        scene.accept(serde_json::json!({ "command": "true" }));
        let collected = scene.up_to_collected(bundle);
        assert!(collected.changes.is_empty());
        assert_eq!(scene.check(0, &collected).ending, Ending::Exited(125), "{}", scene.said(Step::Check(0)));
        assert!(began(&scene.folder(), Step::Check(0)).unwrap().is_some(), "whatever the command removes");
        let told = command_output_end(&scene.folder(), Step::Check(0), Output::Stderr, 10_000).unwrap();
        assert!(told.ends_with(b"told\n") && !told.contains(&0x1e), "{}", String::from_utf8_lossy(&told));
        scene.context.lock().unwrap().tree = Some("0".repeat(40));
        assert_eq!(scene.run(Step::Check(1), None).ending, Ending::Exited(125));
        assert_eq!(began(&scene.folder(), Step::Check(1)).unwrap(), None);
    });
}
