//! Many runs at a time: apart from each other, within their bounds, and fair.

use agentd_tests::harness::{is_root, skip};

use super::scene::{Scene, Who, can_start};

/// Waits until it may go on.
const WAITS: &str = "while [ ! -e \"$HOME/go\" ]; do sleep 0.02; done; echo done";

fn let_go(scene: &Scene, id: &str) {
    scene.write(&scene.folder(id, 1).join("home/go"), "");
}

/// How many of these works have a run now.
fn under_way(scene: &Scene, ids: &[String]) -> usize {
    let operator = scene.operator();
    ids.iter().filter(|id| ["claimed", "running"].contains(&operator.state(id).as_str())).count()
}

#[test]
fn two_runs_on_one_repository_at_the_same_time_never_see_each_other() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    let writes = "echo \"$AGENTD_RUN\" >value; git add -A; git -c user.name=a -c user.email=a@b commit -qm mine; : >up
        while [ ! -e \"$HOME/go\" ]; do sleep 0.02; done; rm up
        git log --all --format=%s | sort | tr '\\n' ' '; cat value; ls /run /tmp /home 2>/dev/null | tr '\\n' ' '";
    scene.agent("pair", "limits.max_concurrency = 2", writes);
    let ids = [(); 2].map(|()| scene.submit("pair", &["--repo", "."]));
    for id in &ids {
        scene.until_workspace_has(id, "up");
    }
    for id in &ids {
        let_go(&scene, id);
    }
    for (id, other) in ids.iter().zip(ids.iter().rev()) {
        let work = scene.until(id, "completed");
        let result = work["runs"][0]["result"].as_str().unwrap();
        assert!(result.starts_with(&format!("mine start {id}.1")) && !result.contains(other), "{result}");
        assert!(scene.told(&["work", "diff", id]).contains(&format!("+{id}.1")));
    }
    assert_eq!(
        scene.run("git for-each-ref --format='%(refname)'"),
        "refs/heads/main\n",
        "the person's own is as it was"
    );
    scene.ends_well();
}

#[test]
fn an_agent_an_owner_and_the_host_have_no_more_runs_at_a_time_than_they_may() {
    for (bounds, most) in [("max_per_owner = 4", 2), ("max_per_owner = 1", 1)] {
        let mut scene = Scene::with(Who::Ordinary, bounds);
        scene.agent("one", "limits.max_concurrency = 2", WAITS);
        within(&scene, &["one"], most);
        scene.ends_well();
    }
    let mut scene = Scene::new(Who::Ordinary);
    // The host's bound of the scenes is 4.
    scene.agent("one", "limits.max_concurrency = 3", WAITS);
    scene.agent("two", "limits.max_concurrency = 3", WAITS);
    within(&scene, &["one", "two"], 4);
    scene.ends_well();
}

/// Submits three works for each, sees that so many run at a time, and lets them go one by one.
fn within(scene: &Scene, agents: &[&str], most: usize) {
    let each = agents.iter().flat_map(|agent| [*agent; 3]);
    let mut ids: Vec<String> = each.map(|agent| scene.submit(agent, &[])).collect();
    while !ids.is_empty() {
        let expected = most.min(ids.len());
        scene.eventually("as many runs as may be", || (under_way(scene, &ids) == expected).then_some(()));
        scene.throughout(300, "never more at a time", || under_way(scene, &ids) <= most);
        let operator = scene.operator();
        let at = ids.iter().position(|id| operator.state(id) == "running");
        let Some(at) = at else { continue };
        let id = ids.remove(at);
        let_go(scene, &id);
        scene.until(&id, "completed");
    }
}

#[test]
fn owners_take_turns_on_a_host_that_is_full() {
    if !is_root() {
        return skip("two owners need root");
    }
    let mut scene = Scene::with(Who::Root, "max = 1");
    scene.open_to_others();
    let owners = [(71_001, "one"), (71_002, "two")];
    for (uid, name) in owners {
        scene.script(&scene.path("agents").join(name).join("run.sh"), "#!/bin/sh\nsleep 0.2; echo done\n");
        scene.enrol_as(Some(uid), name, "command = [\"./run.sh\"]\nlimits.max_concurrency = 4");
    }
    let submit = |(uid, name): (u32, &str)| scene.submit_as(uid, name);
    // The first has a backlog before the second comes.
    let mut ids: Vec<String> = (0..5).map(|_| submit(owners[0])).collect();
    ids.extend((0..3).map(|_| submit(owners[1])));
    let mut began: Vec<(String, &str)> = Vec::new();
    for (at, id) in ids.iter().enumerate() {
        let work = scene.until(id, "completed");
        let owner = owners[usize::from(at >= 5)].1;
        began.push((work["runs"][0]["fence"].as_str().unwrap().to_owned(), owner));
    }
    began.sort_by_key(|(fence, _)| fence.rsplit('.').next().unwrap().parse::<u64>().unwrap());
    let order: Vec<&str> = began.into_iter().map(|(_, owner)| owner).collect();
    let second = order.iter().position(|owner| *owner == "two").unwrap();
    let turns = &order[second..(second + 5).min(order.len())];
    assert_eq!(turns, ["two", "one", "two", "one", "two"], "{order:?}");
    scene.ends_well();
}
