//! What an agent shows: each work counts once, a skill that fell below its bound is named, and a repair counts from nothing.

use serde_json::Value;

use super::scene::{Scene, Who, can_start};

fn judged(scene: &Scene, agent: &str) -> (u64, u64, String) {
    let shown: Value = serde_json::from_str(&scene.told(&["agent", "skills", agent, "--json"])).unwrap();
    let skill = &shown["demonstrated"][0];
    let standing = skill["standing"].as_str().unwrap().to_owned();
    (skill["judged"].as_u64().unwrap(), skill["accepted"].as_u64().unwrap(), standing)
}

#[test]
fn an_agent_that_passes_at_its_second_attempt_goes_on_getting_work() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    scene.agent("fixer", "", "if grep -q '\"previous\"'; then echo good >value; fi");
    for _ in 0..6 {
        let id = scene.submit_repository("fixer", &["--max-attempts", "2"]);
        assert_eq!(scene.until(&id, "completed")["attempts"], 2);
    }
    assert_eq!(judged(&scene, "fixer"), (6, 6, "demonstrated".to_owned()));
    scene.ends_well();
}

#[test]
fn a_skill_that_fell_below_its_bound_is_named_until_the_agent_counts_from_nothing() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    scene.agent("fixer", "", "if grep -q easy; then echo good >value; fi");
    let one = |title: &str| {
        let test = ["--repo", ".", "--accept", "sh tests/run.sh", "--max-attempts", "1", "--quiet"];
        scene.whole(scene.told(&[&["submit", title, "--skill", "fixer"], &test[..]].concat()).trim())
    };
    for title in ["hard", "hard", "easy", "hard", "hard"] {
        scene.until(&one(title), if title == "easy" { "completed" } else { "failed" });
    }
    assert_eq!(judged(&scene, "fixer"), (5, 1, "not demonstrated".to_owned()));
    let id = one("easy");
    assert_eq!(scene.work(&id)["state"], "parked");
    let checked = scene.agentctl(&["status", "--check"]);
    let said = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(1), "{said}");
    let words = "agent fixer gets no work that asks for fixer: 1 of 5 judged works were accepted";
    assert!(said.contains(words), "{said}");
    let told = scene.told(&["why", &id]);
    assert!(told.contains("its skill fixer fell below the bound"), "{told}");
    scene.told(&["agent", "probation", "fixer", "--reason", "repaired"]);
    scene.until(&id, "completed");
    assert_eq!(judged(&scene, "fixer"), (1, 1, "claimed".to_owned()));
    assert!(scene.told(&["status", "--check"]).starts_with("OK"));
    scene.ends_well();
}
