//! Criteria that need no command, through the daemon: each met and each not met, and the verdict at its own place.

use serde_json::Value;

use super::orders::speaker;
use super::scene::{Scene, Who, can_start};

/// Changes a file, adds one, and hands one in.
const MAKES: &str = "echo good >value; echo new >added.txt; echo all is well >\"$HOME/report\"
agentctl run artefact \"$HOME/report\" --name report.txt >&2; echo done";

/// Each criterion with what is said of it: nothing where it is met.
const CRITERIA: [(&str, &str); 10] = [
    ("changes = { only = [\"value\", \"*.txt\"], max_files = 2, max_lines = 3 }", ""),
    (
        "changes = { only = [\"value\"] }",
        "criterion 2 (changes): only value may be changed, and these were too: added.txt",
    ),
    ("changes = { max_files = 1 }", "criterion 3 (changes): 2 files were changed, at most 1 may be"),
    ("changes = { max_lines = 2 }", "criterion 4 (changes): 3 lines were changed, at most 2 may be"),
    ("files = { present = [\"value\", \"tests/*.sh\"], absent = [\"**/*.orig\"] }", ""),
    ("files = { present = [\"README.md\"] }", "criterion 6 (files): there is no README.md"),
    ("files = { absent = [\"*.txt\"] }", "criterion 7 (files): these should not be there: added.txt"),
    ("artefact = { name = \"report.txt\", sha256 = \"SHA256\" }", ""),
    ("artefact = { name = \"other.txt\" }", "criterion 9 (artefact): no artefact other.txt was handed in"),
    (
        "artefact = { name = \"report.txt\", sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\" }",
        "criterion 10 (artefact): the artefact report.txt has SHA-256 SHA256, and 00000000",
    ),
];

/// Submits a work with these criteria; its run when it is over.
fn judged(scene: &Scene, criteria: &[String], state: &str) -> Value {
    let file = scene.path("home/work.toml");
    let each = criteria.join("\n[[acceptance]]\n");
    let repository = scene.path("repo").display().to_string();
    let head = "title = \"judged\"\nrequired_skills = [\"maker\"]\nlimits.max_attempts = 1\n";
    scene.write(&file, &format!("{head}[workspace]\nrepository = '{repository}'\n[[acceptance]]\n{each}\n"));
    let id = scene.told(&["submit", "--file", file.to_str().unwrap(), "--quiet"]);
    scene.until(&scene.whole(id.trim()), state)["runs"][0].clone()
}

#[test]
fn changes_files_and_artefacts_are_judged_each_at_its_place() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    speaker(&scene, "maker", "", MAKES);
    scene.write(&scene.path("home/report"), "all is well\n");
    let sha256 = scene.run("sha256sum ../home/report");
    let sha256 = sha256.split(' ').next().unwrap();
    let with = |text: &str| text.replace("SHA256", sha256);
    let criteria: Vec<String> = CRITERIA.iter().map(|(criterion, _)| with(criterion)).collect();
    let run = judged(&scene, &criteria, "failed");
    assert_eq!(run["failure"], "rejected", "{run:#}");
    let message = run["message"].as_str().unwrap();
    assert_eq!(message.lines().count(), CRITERIA.iter().filter(|(_, said)| !said.is_empty()).count(), "{message}");
    for (place, (criterion, said)) in CRITERIA.iter().enumerate() {
        let verdict = &run["verdicts"][place];
        assert_eq!(verdict["met"], said.is_empty(), "{criterion}: {verdict:#}");
        assert!(said.is_empty() || message.contains(&with(said)), "{criterion}: {message}");
        let kind = criterion.split(' ').next().unwrap();
        assert_eq!(verdict["kind"], kind, "{criterion}");
    }
    let met: Vec<String> =
        criteria.iter().zip(&CRITERIA).filter(|(_, (_, said))| said.is_empty()).map(|(each, _)| each.clone()).collect();
    let run = judged(&scene, &met, "completed");
    let verdicts = run["verdicts"].as_array().unwrap();
    assert!(verdicts.len() == 3 && verdicts.iter().all(|verdict| verdict["met"] == true), "{run:#}");
    scene.ends_well();
}
