//! What runs take of the host, what they are given of it, and texts and repositories of every kind.

use std::net::TcpListener;
use std::process::Command;

use agentd_tests::harness::is_root;

use super::scene::{Scene, Who, can_start, everybody};

const ONCE: [&str; 2] = ["--max-attempts", "1"];

#[test]
fn who_fills_the_disk_is_stopped_while_it_writes_not_when_it_is_over() {
    for who in everybody() {
        let mut scene = Scene::new(who);
        // Each file alone is small enough, and none of them would be left at the end.
        let script =
            "head -c 30000000 /dev/zero >a; head -c 30000000 /dev/zero >\"$HOME/a\"; while :; do sleep 0.1; done";
        scene.agent("filler", "resources.workspace_max = \"40M\"", script);
        scene.agent(
            "many",
            "resources.workspace_files_max = 50",
            "mkdir d; seq 60 | sed s,^,d/, | xargs touch; sleep 1000",
        );
        let ids = ["filler", "many"].map(|agent| scene.submit(agent, &ONCE));
        for id in ids {
            let (failure, message) = scene.fails(&id);
            assert_eq!(failure, "program_failed", "{message}");
            assert!(message.contains("resources.workspace_max"), "{message}");
            scene.nothing_is_left(&id);
            assert_eq!(scene.work(&id)["runs"][0]["program"]["stopped"], "over_size");
        }
        scene.ends_well();
    }
}

/// A work of long instructions, which no command line has.
fn submit_long(scene: &Scene, agent: &str) -> String {
    let file = scene.path("home/work.toml");
    let words = "Do what is said here. ".repeat(14_000);
    let text = format!(
        "title = \"long\"\nrequired_skills = [{agent:?}]\nlimits.max_attempts = 1\ninstructions = \"{words}\"\n"
    );
    scene.write(&file, &text);
    let id = scene.told(&["submit", "--file", file.to_str().unwrap(), "--quiet"]);
    scene.whole(id.trim())
}

#[test]
fn instructions_of_any_length_come_by_file_and_a_command_that_cannot_have_them_says_so() {
    for who in everybody() {
        let mut scene = Scene::new(who);
        let files = "program.files = { \"notes/task.md\" = \"{{ instructions }}\" }";
        let script = "cmp \"$HOME/notes/task.md\" \"${AGENTD_TASK%/*}/instructions.txt\" || exit 1
            echo \"$(wc -c <\"$HOME/notes/task.md\") bytes\"";
        scene.agent("reads", files, script);
        let id = submit_long(&scene, "reads");
        assert_eq!(scene.until(&id, "completed")["runs"][0]["result"], "308000 bytes");
        scene.enrol("told", "command = [\"/bin/echo\", \"{{ instructions }}\"]");
        let (failure, message) = scene.fails(&submit_long(&scene, "told"));
        assert_eq!(failure, "not_started", "{message}");
        assert!(message.contains("command[1]: it has") && message.contains("{{ instructions_file }}"), "{message}");
        scene.ends_well();
    }
}

#[test]
fn repositories_of_every_kind_are_taken_or_refused_in_words() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    scene.agent("reader", "", "cat value; ls sub 2>/dev/null | wc -l; head -n 1 big.bin 2>/dev/null || :");
    scene.run("git clone -q --bare . ../home/bare.git; git clone -q --depth=1 \"file://$PWD\" ../home/shallow");
    scene.run("git init -q ../home/empty");
    scene.run(
        "git clone -q . ../home/parts && cd ../home/parts && git config user.name P && git config user.email p@example.org
        git -c protocol.file.allow=always submodule --quiet add \"file://$(cd ../../repo && pwd)\" sub
        printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:00\\nsize 9\\n' >big.bin
        printf '*.bin filter=lfs diff=lfs merge=lfs -text\\n' >.gitattributes
        git -c filter.lfs.clean=cat -c filter.lfs.smudge=cat add -A && git commit -q -m parts",
    );
    let table = [
        ("bare.git", "bad\n0"),
        ("shallow", "bad\n0"),
        ("parts", "bad\n0\nversion https://git-lfs.github.com/spec/v1"),
    ];
    for (name, result) in table {
        let repository = scene.path("home").join(name);
        let id = scene.submit("reader", &["--repo", repository.to_str().unwrap(), "--max-attempts", "1"]);
        assert_eq!(scene.until(&id, "completed")["runs"][0]["result"], result, "{name}");
    }
    let empty = scene.path("home/empty");
    let refused = scene.agentctl(&["submit", "x", "--skill", "reader", "--repo", empty.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("commit") && said.contains("hint: "), "{said}");
    scene.ends_well();
}

#[test]
fn a_device_in_the_workspace_is_in_no_result() {
    if !can_start() || !is_root() {
        return;
    }
    let mut scene = Scene::new(Who::Root);
    scene.repository();
    scene.agent(
        "waits",
        "",
        "echo good >value; : >up; while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done; rm up; echo done",
    );
    let id = scene.submit_repository("waits", &ONCE);
    scene.until_workspace_has(&id, "up");
    // No run may make one itself.
    let folder = scene.folder(&id, 1);
    let made = Command::new("mknod").arg(folder.join("workspace/device")).args(["c", "1", "3"]).status().unwrap();
    std::fs::write(folder.join("home/go"), "").unwrap();
    if !made.success() {
        agentd_tests::harness::skip("devices cannot be made here");
    }
    scene.until(&id, "completed");
    let diff = scene.told(&["work", "diff", &id]);
    assert!(diff.contains("+good") && !diff.contains("device"), "{diff}");
    scene.ends_well();
}

#[test]
fn a_setup_reaches_the_network_where_it_asks_and_may_and_the_program_never_does() {
    if !can_start() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let tries = format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo reached || echo kept");
    for who in everybody() {
        let mut scene = Scene::with(who, "setup_egress = \"host\"");
        scene.repository();
        scene.agent("tries", "", &format!("cat seen; {tries}"));
        for (egress, result) in [("host", "reached\nkept"), ("none", "kept\nkept")] {
            let work = scene.path("home/work.toml");
            let setup = format!("({tries}) >seen");
            let text = format!(
                "title = \"tries\"\nrequired_skills = [\"tries\"]\nlimits.max_attempts = 1\n\
                 [workspace]\nrepository = {:?}\nsetup = {setup:?}\nsetup_egress = {egress:?}\n",
                scene.path("repo")
            );
            scene.write(&work, &text);
            let id = scene.told(&["submit", "--file", work.to_str().unwrap(), "--quiet"]);
            let id = scene.whole(id.trim());
            assert_eq!(scene.until(&id, "completed")["runs"][0]["result"], result, "{who:?} {egress}");
        }
        scene.ends_well();
    }
}
