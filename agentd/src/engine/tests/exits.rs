//! That a program ended while its run waits.

use agentd_schemas::launch::Ending;
use serde_json::json;

use super::{Scene, kinds};
use crate::domain::Command;

#[test]
fn an_end_is_told_once_also_where_one_before_it_was_not_told() {
    let mut scene = Scene::new();
    scene.submit(json!([{"title": "x"}]));
    let run = scene.claim().unwrap();
    let exit = |scene: &mut Scene, start| {
        let ending = Ending::Exited(0);
        kinds(&scene.run(Command::ExitProgram { run, start, ending, handed_in: false })).len()
    };
    assert_eq!(exit(&mut scene, 1), 0, "it waits for nobody, and nothing is told");
    scene.run(Command::AskPerson { run, text: "may I?".to_owned() });
    assert_eq!(exit(&mut scene, 2), 1);
    // A daemon that starts goes through all of it again.
    assert_eq!((exit(&mut scene, 1), exit(&mut scene, 2)), (0, 0));
    assert_eq!(exit(&mut scene, 3), 1);
}
