//! What a program is told, and where its result is.

use agentd::runner::{NoResult, ProgramResult, Step, result};
use agentd_schemas::document::program::Program;
use agentd_schemas::launch::Level;
use serde_json::json;

use crate::scene::{Scene, levels};

fn scene(level: Level, program: serde_json::Value, script: &str) -> Scene {
    let mut scene = Scene::new(level, script);
    scene.job.runtime.program = serde_json::from_value::<Program>(program).unwrap();
    scene
}

fn of(level: Level, program: serde_json::Value, script: &str) -> Result<ProgramResult, NoResult> {
    let scene = scene(level, program, script);
    let outcome = scene.run(Step::Program(1), None);
    result(&scene.job, &scene.folder(), 1, &outcome)
}

#[test]
fn a_result_is_where_the_document_says() {
    for &level in levels() {
        let text = |program, script| of(level, program, script).map(|result| result.text);
        assert_eq!(text(json!({}), "echo one; echo two >&2").unwrap(), "one");
        assert_eq!(text(json!({"result": {"file": "out/a"}}), "mkdir out; echo x >out/a").unwrap(), "x");
        assert_eq!(text(json!({"result": {"file": "{{ result_file }}"}}), "echo y >\"$HOME/result\"").unwrap(), "y");
        let lines = r#"echo noise; echo '{"r": 1}'; echo '{"r": {"a": "last"}}'; echo '{"s": 2}'"#;
        assert_eq!(text(json!({"result": {"json": "/r/a"}}), lines).unwrap(), "last");
        let of_session = of(level, json!({"result": {"json": "/r"}, "session": "/s"}), lines).unwrap();
        assert_eq!(of_session, ProgramResult { text: r#"{"a":"last"}"#.to_owned(), session: Some("2".to_owned()) });
        assert_eq!(text(json!({"result": "socket"}), "echo x"), Err(NoResult::BySocket));
    }
}

#[test]
fn what_is_no_result_is_told_why() {
    for &level in levels() {
        let text = |program, script| of(level, program, script).map(|result| result.text);
        assert!(matches!(text(json!({}), "true"), Err(NoResult::Missing(_))));
        assert_eq!(text(json!({}), "echo x; exit 3"), Err(NoResult::Failed(3)));
        assert_eq!(text(json!({"exit_codes": {"3": "done"}}), "echo x; exit 3").unwrap(), "x");
        assert_eq!(text(json!({"exit_codes": {"0": "failed"}}), "echo x"), Err(NoResult::Failed(0)));
        let file = json!({"result": {"file": "a/b"}});
        assert!(matches!(text(file.clone(), "true"), Err(NoResult::Missing(_))));
        for script in ["mkdir a; ln -s /etc/passwd a/b", "ln -s /etc a; true", "mkdir a; mkfifo a/b", "mkdir -p a/b"] {
            let found = text(file.clone(), script);
            assert!(!found.clone().is_ok_and(|text| !text.is_empty()), "{script}: {found:?}");
            assert!(matches!(found, Err(NoResult::Unusable(_) | NoResult::Missing(_))), "{script}: {found:?}");
        }
        let flood = "head -c 5000000 /dev/zero | tr '\\0' x";
        assert!(matches!(text(json!({}), flood), Err(NoResult::Unusable(_))));
        assert!(matches!(text(json!({"result": {"json": "/r"}}), flood), Err(NoResult::Missing(_))));
        assert!(matches!(text(json!({}), "printf '\\377'"), Err(NoResult::Unusable(_))));
        let mut looked_at = scene(level, json!({}), "exit 4");
        looked_at.accept(json!({ "artefact": { "name": "report" } }));
        let outcome = looked_at.run(Step::Program(1), None);
        assert_eq!(result(&looked_at.job, &looked_at.folder(), 1, &outcome).unwrap().text, "");
    }
}

#[test]
fn a_program_is_told_its_task_in_each_way_there_is() {
    for &level in levels() {
        let script = r#"cat; cat "$AGENTD_TASK" "$1" "$2" "$HOME/.config/tool.toml"; echo "$EDITOR" "$AGENTD_AGENT"; "$3/fix""#;
        let mut scene = scene(
            level,
            serde_json::json!({
                "environment": { "EDITOR": "{{ agent }}-{{ attempt }}" },
                "files": { ".config/tool.toml": "goal = '{{ title }}'\n" },
                "stdin": "instructions",
            }),
            script,
        );
        let words = ["agent", "{{instructions_file}}", "{{ previous_file }}", "{{ program_dir }}"].map(str::to_owned);
        scene.job.runtime.command.extend(words);
        scene.job.runtime.files =
            serde_json::from_value(serde_json::json!([{ "name": "fix", "sha256": "", "executable": true }])).unwrap();
        scene.job.files = vec![b"#!/bin/sh\necho ran; echo x >>$0 || echo held\n".to_vec()];
        scene.done(Step::Program(1), None);
        let said = scene.said(Step::Program(1));
        assert!(said.contains("All of it.{\"work\":\"w-aaaaaaaaaaaaaaaa\""), "{said}");
        assert!(said.contains("}All of it.nullgoal = 'Make it pass'\nfixer-1 fixer\nran\nheld\n"), "{said}");
    }
}
