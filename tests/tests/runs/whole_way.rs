//! The whole way: from a repository over a verdict to a signed commit, and two agents that look for a shorter one.

use agentd_schemas::key::dsse::Envelope;
use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::key::statement::{Completion, PAYLOAD_TYPE};
use serde_json::Value;

use super::scene::{Scene, Who, can_start, everybody};

/// Looks for the verdict of the attempt before, and does right only with it.
const NEEDS_THE_VERDICT: &str = "cat >seen.json
if grep -q 'value is not good' seen.json && grep -q '\"previous\"' seen.json; then echo good >value; fi
cmp -s seen.json \"$AGENTD_TASK\" || [ \"$(cat seen.json)\" = \"$(cat \"$AGENTD_TASK\")\" ] || exit 3
rm seen.json; echo done";

#[test]
fn a_rejected_attempt_teaches_the_next_and_the_commit_is_signed_for_git_and_for_the_ledger() {
    if !can_start() {
        return;
    }
    for who in everybody() {
        let mut scene = Scene::new(who);
        scene.repository();
        scene.agent("fixer", "", NEEDS_THE_VERDICT);
        let id = scene.submit_repository("fixer", &["--max-attempts", "3"]);
        let work = scene.until(&id, "completed");
        let runs = work["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 2, "{work:#}");
        let accepted = runs.iter().find(|run| run["outcome"] == "completed").unwrap();
        let rejected = runs.iter().find(|run| run["outcome"] != "completed").unwrap();
        assert!(rejected["message"].as_str().unwrap().contains("value is not good"), "{rejected:#}");
        assert_eq!(work["base_verdicts"][0]["met"], false, "{work:#}");
        assert_eq!(accepted["commit"]["branch"], format!("agentd/{id}/2"));
        assert_eq!(accepted["confinement"]["level"], "strict");
        if who == Who::Root {
            assert!(accepted["confinement"]["uid"].as_u64().unwrap() >= 2_100_000_000, "{accepted:#}");
        }
        the_commit_is_signed(&scene, &id, accepted);
        the_statement_names_what_was_made(&scene, accepted);
        assert_eq!(scene.run("cat value"), "bad\n", "the person's tree is not touched before");
        scene.told(&["work", "apply", &id]);
        assert_eq!(scene.run("cat value"), "good\n");
        assert_eq!(scene.run("git rev-parse HEAD").trim(), accepted["commit"]["id"].as_str().unwrap());
        scene.nothing_is_left(&id);
        scene.ends_well();
    }
}

#[test]
fn what_no_result_can_have_is_told_with_it() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    scene.agent("plumber", "", "echo good >value; mkfifo 'a pipe'; echo done");
    let id = scene.submit_repository("plumber", &["--max-attempts", "1"]);
    let work = scene.until(&id, "completed");
    assert_eq!(work["runs"][0]["message"], "left out of the result: a pipe (fifo)", "{work:#}");
    scene.ends_well();
}

fn the_commit_is_signed(scene: &Scene, id: &str, accepted: &Value) {
    let commit = accepted["commit"]["id"].as_str().unwrap();
    let agent: Value = serde_json::from_str(&scene.told(&["agent", "show", "fixer", "--json"])).unwrap();
    let key = agent["public_key"].as_str().unwrap();
    let bundle = scene.path("home/result.bundle");
    let bundle = bundle.to_str().unwrap();
    scene.told(&["work", "artifacts", id, "--get", "agentd/result.bundle", "--out", bundle]);
    scene.run(&format!("git fetch -q {bundle} 'refs/heads/*:refs/heads/*'"));
    assert_eq!(scene.run(&format!("git rev-parse agentd/{id}/2")).trim(), commit);
    let author = scene.run(&format!("git log -1 --format=%ae {commit}"));
    let author = author.trim();
    scene.write(&scene.path("home/allowed"), &format!("{author} namespaces=\"git\" {key}\n"));
    let allowed = scene.path("home/allowed");
    let allowed = allowed.display();
    scene.run_by_name(&format!("git -c gpg.ssh.allowedSignersFile={allowed} verify-commit {commit}"));
    scene.run_by_name(&format!(
        "git cat-file commit {commit} | awk '/^gpgsig /{{sub(/^gpgsig /, \"\"); on=1}} on&&/^$/{{on=0}} on{{sub(/^ /,\"\");print}}' \
         >../home/sig
         git cat-file commit {commit} | awk '/^gpgsig /{{on=1; next}} on&&/^ /{{next}} {{on=0; print}}' >../home/signed
         ssh-keygen -Y verify -f {allowed} -I {author} -n git -s ../home/sig <../home/signed"
    ));
}

fn the_statement_names_what_was_made(scene: &Scene, accepted: &Value) {
    let operator = scene.operator();
    let page = operator.ask("Ledger", "EventsSince", &(0_u64, 1000_u32)).unwrap();
    let rows = page["events"].as_array().unwrap();
    let is_end = |row: &&Value| row["body"].as_str().unwrap().contains("\"type\":\"WorkCompleted\"");
    let index = rows.iter().find(is_end).unwrap()["index"].as_u64().unwrap();
    let mut blobs = (0..8_u8).filter_map(|slot| operator.call::<Vec<u8>>("Works", "Content", &(index, slot)).ok());
    let statement = blobs.find_map(|bytes| Envelope::parse(&bytes).ok()).expect("a statement");
    let agent: Value = serde_json::from_str(&scene.told(&["agent", "show", "fixer", "--json"])).unwrap();
    let key: PublicKey = agent["public_key"].as_str().unwrap().parse().unwrap();
    let completion = Completion::parse(statement.verify(&key, PAYLOAD_TYPE).unwrap()).unwrap();
    assert_eq!(accepted["fence"], format!("1.{}", completion.fence));
    let mut named: Vec<String> = completion.artefacts.iter().map(|artefact| artefact.sha256.to_string()).collect();
    let artefacts = accepted["artefacts"].as_array().unwrap();
    assert_eq!((artefacts.len(), named.len()), (2, 3), "{accepted:#}");
    for artefact in artefacts {
        named.retain(|sha256| sha256.as_str() != artefact["sha256"].as_str().unwrap());
    }
    assert_eq!(named, [accepted["result_sha256"].as_str().unwrap()], "the result, and each artefact");
}

#[test]
fn who_edits_the_tests_to_pass_is_caught_and_the_verdict_says_which() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    scene.agent("cheat", "", "echo true >tests/run.sh; echo exit 0 >tests/more.sh; echo 'all pass'");
    let id = scene.submit_repository("cheat", &["--max-attempts", "1"]);
    let work = scene.until(&id, "failed");
    let run = &work["runs"][0];
    assert_eq!(run["failure"], "rejected", "{run:#}");
    let message = run["message"].as_str().unwrap();
    assert!(message.contains("protected paths were changed, and put back before it ran"), "{message}");
    assert!(message.contains("tests/run.sh") && message.contains("tests/more.sh"), "{message}");
    assert!(message.contains("value is not good"), "the tests as they were have the word: {message}");
    let changed = run["verdicts"][0]["evidence"]["protected_changed"].as_array().unwrap();
    assert_eq!(changed.len(), 2, "{run:#}");
    scene.ends_well();
}

#[test]
fn a_result_that_changes_protected_paths_is_taken_by_who_asks_for_that_alone() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    scene.agent("linker", "", "echo good >value; mv tests kept; ln -s kept tests; echo 'all pass'");
    let id = scene.submit_repository("linker", &["--max-attempts", "1"]);
    let work = scene.until(&id, "completed");
    assert_eq!(work["runs"][0]["verdicts"][0]["met"], true, "judged with the tests put back: {work:#}");
    let words = "changed protected paths";
    let diff = scene.agentctl(&["work", "diff", &id]);
    assert!(String::from_utf8_lossy(&diff.stderr).contains(words), "{diff:?}");
    let shown = scene.told(&["work", "show", &id]);
    assert!(shown.contains("protected, changed") && shown.contains("tests/run.sh"), "{shown}");
    for more in [&[][..], &["--no-commit"], &["--branch", "b"]] {
        let refused = scene.agentctl(&[&["work", "apply", &id], more].concat());
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(words) && said.contains("tests/run.sh"), "{more:?}: {said}");
        assert!(said.contains("--include-protected"), "{said}");
    }
    assert_eq!(scene.run("git status --porcelain; git log --format=%s; git branch --list b"), "start\n");
    scene.told(&["work", "apply", &id, "--include-protected"]);
    assert_eq!(scene.run("readlink tests"), "kept\n");
    scene.ends_well();
}

/// What it tries goes to standard output, a word for each that worked.
const CURIOUS: &str = r#"say() { if "$@" >/dev/null 2>&1; then echo "$word did"; else echo "$word did not"; fi; }
word=key say cat "HOME/.ssh/id_ed25519"
word=ledger say cat "STATE/ledger.db"
word=keys say ls "STATE/keys"
word=door say ls "STATE/run"
word=home say touch "HOME/was-here"
word=etc say touch /etc/was-here
word=usr say touch /usr/was-here
word=agent say touch "$(dirname "$0")/was-here"
word=task say touch "$(dirname "$AGENTD_TASK")/was-here"
word=control say /usr/bin/python3 -c "import socket; socket.socket(socket.AF_UNIX).connect('STATE/run/control.sock')"
word=local say /usr/bin/python3 -c "import socket; socket.create_connection(('127.0.0.1', PORT), 2)"
word=outside say /usr/bin/python3 -c "import socket; socket.create_connection(('192.0.2.1', 80), 2)"
word=name say /usr/bin/python3 -c "import socket; socket.getaddrinfo('example.org', 80)"
word=workspace say touch here
word=tmp say touch "$TMPDIR/here""#;

#[test]
fn who_reads_secrets_writes_outside_or_opens_connections_is_contained_and_may_tell_of_it() {
    if !can_start() {
        return;
    }
    for who in everybody() {
        let mut scene = Scene::new(who);
        scene.write(&scene.path("home/.ssh/id_ed25519"), "secret");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let program = CURIOUS.replace("HOME/", &format!("{}/", scene.path("home").display()));
        let program = program.replace("STATE/", &format!("{}/", scene.daemon.state().display()));
        let program = program.replace("PORT", &port.local_addr().unwrap().port().to_string());
        scene.agent("curious", "", &program);
        let work = scene.until(&scene.submit("curious", &[]), "completed");
        let result = work["runs"][0]["result"].as_str().unwrap().to_owned();
        let did: Vec<&str> = result.lines().filter_map(|line| line.strip_suffix(" did")).collect();
        assert_eq!(did, ["workspace", "tmp"], "{who:?}: {result}");
        assert_eq!(result.lines().count(), 15, "{result}");
        assert!(!scene.path("home/was-here").exists());
        scene.ends_well();
    }
}
