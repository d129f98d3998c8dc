//! Room on the disk, what is kept and what goes, and what all of it cost.

use agentd_tests::harness::{Tmpfs, is_root, skip};
use serde_json::Value;

use super::orders::speaker;
use super::scene::{Scene, Who, can_start};

#[test]
fn no_run_begins_on_a_disk_that_is_too_full_and_people_are_told_why() {
    let mut scene = Scene::with(Who::Ordinary, "min_free_percent = 90");
    if scene.operator().ask("Host", "Status", &()).unwrap()["disk_free_percent"].as_u64().unwrap() >= 90 {
        return skip("the disk is nearly empty");
    }
    scene.agent("worker", "", "echo done");
    let id = scene.submit("worker", &[]);
    let full = "no run begins while less than 90 % of the disk is free";
    scene.eventually("the word of it", || scene.told(&["status"]).contains(full).then_some(()));
    assert!(scene.told(&["why", &id]).contains(full));
    let status = scene.told(&["status"]);
    assert_eq!(
        status.matches("% of the disk is free").count() - status.matches("only ").count(),
        1,
        "said once: {status}"
    );
    scene.repository();
    let refused = scene.agentctl(&["submit", "x", "--skill", "worker", "--repo", "."]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("less than 90 % (runs.min_free_percent)"), "{said}");
    assert_eq!((scene.work(&id)["state"].as_str(), scene.launches(&id, "program")), (Some("ready"), 0));
    scene.daemon.stop();
    scene.configure("");
    scene.daemon.run();
    scene.until(&id, "completed");
    assert!(!scene.told(&["status"]).contains(full));
    scene.ends_well();
}

#[test]
fn no_run_begins_where_the_disk_of_the_runs_alone_is_too_full() {
    let mut scene = Scene::prepared(Who::Root, "");
    let runs = scene.path("runs");
    std::fs::create_dir(&runs).unwrap();
    let Some(_disk) = is_root().then(|| Tmpfs::mount(&runs, 16)).flatten() else {
        return skip("a small disk needs root");
    };
    std::fs::set_permissions(&runs, std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    std::fs::write(runs.join("filler"), vec![1; 15 << 20]).unwrap();
    scene.configure(&format!("min_free_percent = 10\ndirectory = '{}'", runs.display()));
    scene.daemon.run();
    if scene.operator().ask("Host", "Status", &()).unwrap()["disk_free_percent"].as_u64().unwrap() < 10 {
        return skip("the disk is nearly full");
    }
    let full = "no run begins while less than 10 % of the disk is free";
    scene.eventually("the word of it", || scene.told(&["status"]).contains(full).then_some(()));
    std::fs::remove_file(runs.join("filler")).unwrap();
    scene.agent("worker", "", "echo done");
    scene.until(&scene.submit("worker", &[]), "completed");
    scene.ends_well();
}

#[test]
fn a_disk_that_is_full_in_the_middle_of_a_run_holds_its_end_up_and_loses_nothing() {
    let mut scene = Scene::prepared(Who::Root, "");
    let Some(_disk) = is_root().then(|| Tmpfs::mount(&scene.daemon.state(), 48)).flatten() else {
        return skip("a small disk needs root");
    };
    std::fs::set_permissions(scene.daemon.state(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    scene.daemon.run();
    scene.agent(
        "filler",
        "",
        // What is no text is six times as long in the record of its end.
        "echo made; head -c 9000 /dev/zero >&2; head -c 1G /dev/zero >big; : >\"$HOME/full\"; while [ ! -e \"$HOME/go\" ]; do sleep 0.02; done",
    );
    let id = scene.submit("filler", &["--max-attempts", "1"]);
    let folder = scene.folder(&id, 1);
    scene.eventually("a full disk", || folder.join("home/full").exists().then_some(()));
    // An empty file takes no room.
    scene.write(&folder.join("home/go"), "");
    scene.nothing_is_left(&id);
    let told = || folder.join("program/outcome.json").exists().then_some(());
    scene.eventually("its end, for which there was room", told);
    let refused = scene.agentctl(&["submit", &"x".repeat(100_000)]);
    assert!(!refused.status.success());
    std::fs::remove_file(folder.join("workspace/big")).unwrap();
    assert_eq!(scene.until(&id, "completed")["runs"][0]["result"], "made");
    scene.agent("worker", "", "echo done");
    scene.until(&scene.submit("worker", &[]), "completed");
    scene.ends_well();
}

#[test]
fn a_run_that_filled_the_disk_and_failed_is_told_of_and_its_room_is_free_again() {
    let mut scene = Scene::prepared(Who::Root, "");
    let Some(_disk) = is_root().then(|| Tmpfs::mount(&scene.daemon.state(), 48)).flatten() else {
        return skip("a small disk needs root");
    };
    std::fs::set_permissions(scene.daemon.state(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    scene.daemon.run();
    scene.agent("filler", "", "head -c 1G /dev/zero >big; head -c 100000 /dev/zero; exit 3");
    scene.agent("worker", "", "echo done");
    let id = scene.submit("filler", &["--max-attempts", "1"]);
    assert_eq!(scene.fails(&id).0, "program_failed");
    let folder = scene.folder(&id, 1);
    scene.eventually("its folder to be gone", || (!folder.exists()).then_some(()));
    scene.nothing_is_left(&id);
    scene.until(&scene.submit("worker", &[]), "completed");
    scene.ends_well();
}

#[test]
fn what_failed_goes_before_its_time_where_no_run_may_begin_for_want_of_room() {
    let mut scene = Scene::prepared(Who::Root, "min_free_percent = 50");
    let Some(_disk) = is_root().then(|| Tmpfs::mount(&scene.daemon.state(), 64)).flatten() else {
        return skip("a small disk needs root");
    };
    std::fs::set_permissions(scene.daemon.state(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    scene.daemon.run();
    scene.agent("filler", "", "head -c 16M /dev/zero >big; exit 3");
    scene.agent("worker", "", "echo done");
    // Each leaves its folder behind for a week, and at half of the disk no run begins.
    for _ in 0..2 {
        let id = scene.submit("filler", &["--max-attempts", "1"]);
        scene.until(&id, "failed");
    }
    scene.until(&scene.submit("worker", &[]), "completed");
    scene.ends_well();
}

#[test]
fn a_run_hands_nothing_in_where_the_disk_is_too_full() {
    let mut scene = Scene::new(Who::Ordinary);
    let free = scene.operator().ask("Host", "Status", &()).unwrap()["disk_free_percent"].as_u64().unwrap();
    if free >= 90 {
        return skip("the disk is nearly empty");
    }
    let waits = ": >up; while [ ! -e \"$HOME/go\" ]; do sleep 0.02; done; echo x >r; agentctl run artefact r";
    speaker(&scene, "late", "", waits);
    let id = scene.submit("late", &["--max-attempts", "1"]);
    scene.until_workspace_has(&id, "up");
    scene.daemon.stop();
    scene.configure(&format!("min_free_percent = {}", free + 5));
    scene.daemon.run();
    scene.write(&scene.folder(&id, 1).join("home/go"), "");
    let (_, message) = scene.fails(&id);
    assert!(message.contains("(runs.min_free_percent)") && message.contains("agentctl gc"), "{message}");
    let kept = std::fs::read_dir(scene.daemon.state().join("artefacts")).unwrap().count();
    assert_eq!(kept, 0, "nothing is left of it");
    scene.ends_well();
}

#[test]
fn what_failed_is_cleared_up_in_its_time_and_what_it_made_stays() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::with(Who::Ordinary, "keep_workspaces = \"1ms\"");
    scene.repository();
    scene.agent("worker", "", "echo worse >value; echo done");
    let id = scene.submit_repository("worker", &["--max-attempts", "1"]);
    assert_eq!(scene.fails(&id).0, "rejected");
    let folder = scene.folder(&id, 1);
    assert!(folder.exists());
    let named = format!("folder of run {id}.1");
    scene.eventually("its time to be over", || scene.told(&["gc", "--dry-run"]).contains(&named).then_some(()));
    assert!(folder.exists(), "a dry run removes nothing");
    assert!(scene.told(&["gc"]).contains(&named));
    assert!(!folder.exists());
    assert!(scene.told(&["work", "diff", &id, "--attempt", "1"]).contains("+worse"));
    let listed = scene.told(&["work", "artifacts", &id]);
    assert!(listed.contains("agentd/changes.diff") && listed.contains("agentd/result.bundle"), "{listed}");
    scene.ends_well();
}

#[test]
fn what_was_handed_in_stays_as_long_as_a_retry_may_need_it_and_a_retry_without_it_is_refused() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::with(Who::Ordinary, "keep_uploads = \"1ms\"");
    scene.repository();
    scene.agent("worker", "", "echo worse >value; echo done");
    let id = scene.submit_repository("worker", &["--max-attempts", "1"]);
    assert_eq!(scene.fails(&id).0, "rejected");
    scene.told(&["gc"]);
    scene.told(&["retry", &id, "--reason", "once more"]);
    scene.eventually("the second attempt", || {
        let work = scene.work(&id);
        (work["attempts"] == 2 && work["state"] == "failed").then_some(())
    });
    assert_eq!(scene.launches(&id, "program"), 2, "it had what it begins with");
    scene.daemon.stop();
    scene.configure("keep_uploads = \"1ms\"\nkeep_workspaces = \"1ms\"");
    scene.daemon.run();
    scene.eventually("the end of the upload", || scene.told(&["gc"]).contains("upload ").then_some(()));
    let refused = scene.agentctl(&["retry", &id, "--reason", "once more"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("not here any more") && said.contains("agentctl submit"),
        "{said}"
    );
    let work = scene.work(&id);
    assert_eq!((work["state"].as_str(), work["attempts"].as_u64()), (Some("failed"), Some(2)), "nothing was promised");
    scene.ends_well();
}

#[test]
fn content_that_was_erased_is_not_served_from_folders_or_artefacts_either() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    let script = "echo secret-word >value; cp value \"$HOME\"; [ -e other ] || echo secret-word";
    scene.agent("worker", "", script);
    let [id, other] = [0, 1].map(|_| scene.submit_repository("worker", &["--max-attempts", "1"]));
    for id in [&id, &other] {
        scene.fails(id);
        assert!(scene.told(&["work", "output", id]).contains("secret-word"));
        assert!(scene.told(&["work", "diff", id, "--attempt", "1"]).contains("+secret-word"));
    }
    let kept = |id: &str| scene.told(&["work", "artifacts", id, "--json"]);
    let erase = |id: &str| {
        for event in scene.operator().events() {
            let of_work = event["id"].to_string().contains(id);
            for blob in event["blobs"].as_array().into_iter().flatten().filter(|_| of_work) {
                let (index, slot) = (event["index"].to_string(), blob["slot"].to_string());
                scene.told(&["ledger", "redact", &index, &slot, "--reason", "a secret"]);
            }
        }
    };
    let both = kept(&other);
    erase(&id);
    assert!(!scene.folder(&id, 1).exists(), "the folder is gone");
    assert!(!scene.told(&["work", "output", &id]).contains("secret-word"));
    assert!(
        !scene.agentctl(&["work", "diff", &id, "--attempt", "1"]).stdout.windows(11).any(|it| it == b"secret-word")
    );
    // What the other work names as well stays as long as that one needs it.
    assert!(scene.folder(&other, 1).exists());
    assert_eq!(kept(&other), both);
    assert!(scene.told(&["work", "diff", &other, "--attempt", "1"]).contains("+secret-word"));
    erase(&other);
    assert!(!kept(&other).contains("\"kept\":true"), "{}", kept(&other));
    scene.ends_well();
}

#[test]
fn the_cost_by_agent_is_the_sum_of_what_the_runs_say() {
    let mut scene = Scene::new(Who::Ordinary);
    scene.agent("one", "", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo $i");
    scene.agent("two", "", "exit 1");
    let mut ids: Vec<String> = (0..3).map(|_| scene.submit("one", &[])).collect();
    for id in &ids {
        scene.until(id, "completed");
    }
    ids.push(scene.submit("two", &["--max-attempts", "2"]));
    scene.fails(ids.last().unwrap());
    let rows: Vec<Value> = serde_json::from_str::<Value>(&scene.told(&["cost", "--by", "agent", "--json"]))
        .ok()
        .and_then(|rows| rows.as_array().cloned())
        .unwrap_or_else(|| lines(&scene.told(&["cost", "--by", "agent", "--json"])));
    for (agent, ids, runs) in [("one", &ids[..3], 3_u64), ("two", &ids[3..], 2)] {
        let row = rows.iter().find(|row| row["of"] == agent).unwrap_or_else(|| panic!("{rows:?}"));
        assert_eq!((row["runs"].as_u64(), row["measured"].as_u64()), (Some(runs), Some(runs)), "{row:#}");
        let works: Vec<Value> = ids.iter().map(|id| scene.work(id)).collect();
        let all = works.iter().flat_map(|work| work["runs"].as_array().unwrap());
        let sum = |name: &str| all.clone().map(|run| run["program"]["usage"][name].as_u64().unwrap()).sum::<u64>();
        for name in ["wall_ms", "user_us", "system_us", "read_bytes", "written_bytes"] {
            assert_eq!(row["usage"][name].as_u64(), Some(sum(name)), "{agent} {name}: {row:#}");
        }
        assert!(sum("user_us") + sum("system_us") > 0);
    }
    scene.ends_well();
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
