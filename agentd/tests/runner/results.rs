//! What a program is told, and where its result is.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use agentd::runner::{NoResult, Profile, Step, lay_out, result, run_socket, session, spec};
use agentd_schemas::document::program::Program;
use agentd_schemas::launch::Level;
use serde_json::json;

use crate::scene::{Scene, levels};

fn scene(level: Level, program: serde_json::Value, script: &str) -> Scene {
    let mut scene = Scene::new(level, script);
    scene.job.runtime.program = serde_json::from_value::<Program>(program).unwrap();
    scene
}

fn of(level: Level, program: serde_json::Value, script: &str) -> Result<String, NoResult> {
    let scene = scene(level, program, script);
    let outcome = scene.run(Step::Program(1), None);
    result(&scene.job, &scene.folder(), 1, &outcome)
}

#[test]
fn a_result_is_where_the_document_says() {
    for &level in levels() {
        let text = |program, script| of(level, program, script);
        assert_eq!(text(json!({}), "echo one; echo two >&2").unwrap(), "one");
        assert_eq!(text(json!({"result": {"file": "out/a"}}), "mkdir out; echo x >out/a").unwrap(), "x");
        assert_eq!(text(json!({"result": {"file": "{{ result_file }}"}}), "echo y >\"$HOME/result\"").unwrap(), "y");
        let lines = r#"echo noise; echo '{"r": 1}'; echo '{"r": {"a": "last"}}'; echo '{"s": 2}'"#;
        assert_eq!(text(json!({"result": {"json": "/r/a"}}), lines).unwrap(), "last");
        let scene = scene(level, json!({"result": {"json": "/r"}, "session": "/s"}), lines);
        let outcome = scene.run(Step::Program(1), None);
        assert_eq!(result(&scene.job, &scene.folder(), 1, &outcome).unwrap(), r#"{"a":"last"}"#);
        assert_eq!(session(&scene.job, &scene.folder(), 1, &outcome), Ok(Some("2".to_owned())));
        assert_eq!(text(json!({"result": "socket"}), "echo x"), Err(NoResult::BySocket));
    }
}

#[test]
fn what_is_no_result_is_told_why() {
    for &level in levels() {
        let text = |program, script| of(level, program, script);
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
        // The last line that has it may be one that is not kept.
        let cut = "echo '{\"r\": 1}'; head -c 30000000 /dev/zero | tr '\\0' x; echo; echo '{\"r\": 2}'";
        assert!(matches!(text(json!({"result": {"json": "/r"}}), cut), Err(NoResult::Unusable(_))));
        let mut looked_at = scene(level, json!({}), "exit 4");
        looked_at.accept(json!({ "artefact": { "name": "report" } }));
        let outcome = looked_at.run(Step::Program(1), None);
        assert_eq!(result(&looked_at.job, &looked_at.folder(), 1, &outcome).unwrap(), "");
    }
}

#[test]
fn what_a_program_says_too_much_is_no_loss_of_what_it_made() {
    for &level in levels() {
        let said = |script: &str| {
            let mut scene = scene(level, json!({}), script);
            scene.accept(json!({ "artefact": { "name": "report" } }));
            let outcome = scene.run(Step::Program(1), None);
            result(&scene.job, &scene.folder(), 1, &outcome).unwrap()
        };
        let end = said("head -c 5000000 /dev/zero | tr '\\0' x; echo; echo done");
        assert!(end.starts_with("[the end of 5000006 bytes]\nx") && end.ends_with("x\ndone"), "{} bytes", end.len());
        assert!(end.len() <= (64 << 10) + 32, "{} bytes", end.len());
        assert_eq!(said("printf 'a\\377b\\n'"), "a\u{fffd}b");
        // Where nothing is kept beyond a bound, it is the end of what is kept.
        assert!(said("echo much; head -c 30000000 /dev/zero | tr '\\0' x").starts_with("[the end of "));
    }
}

#[test]
fn a_program_is_told_its_task_in_each_way_there_is() {
    for &level in levels() {
        let script =
            r#"cat; cat "$AGENTD_TASK" "$1" "$2" "$HOME/.config/tool.toml"; echo "$EDITOR" "$AGENTD_AGENT"; "$3/fix""#;
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

#[test]
fn long_instructions_come_by_file_and_never_as_a_word() {
    for &level in levels() {
        let program =
            json!({"files": {"deep/task.md": "# {{ title }}\n{{ instructions }}", "two": "{{ instructions }}"}});
        let mut scene = scene(level, program, "wc -c <\"$HOME/deep/task.md\"; cat \"$HOME/two\"");
        scene.job.claim.instructions = "ü".repeat(150_000);
        scene.done(Step::Program(1), None);
        let said = scene.said(Step::Program(1));
        assert!(said.starts_with("300015\n") && said.ends_with(&scene.job.claim.instructions), "{}", said.len());
        let refused = |scene: &Scene| {
            let spec = spec(&scene.host, &scene.job, Step::Program(1), &scene.context.lock().unwrap());
            spec.unwrap_err().to_string()
        };
        scene.job.runtime.command.push("{{ instructions }}".to_owned());
        let said = refused(&scene);
        assert!(
            said.starts_with("command[3]: it has 300000 bytes") && said.contains("{{ instructions_file }}"),
            "{said}"
        );
        scene.job.runtime.command.pop();
        scene.job.claim.instructions = "x".repeat(9 << 20);
        assert!(refused(&scene).starts_with("program.files.\"two\": it has 9437184 bytes"), "{}", refused(&scene));
    }
}

#[test]
fn a_program_goes_on_with_its_session_in_the_home_that_it_left() {
    for &level in levels() {
        let program =
            json!({ "resume": ["sh", "-c", "cat \"$HOME/left\"; echo $0", "{{ session }}"], "session": "/id" });
        let scene = scene(level, program, "echo left >\"$HOME/left\"; echo '{\"id\": \"s-1\"}'");
        let outcome = scene.done(Step::Program(1), None);
        let session = session(&scene.job, &scene.folder(), 1, &outcome).unwrap();
        scene.context.lock().unwrap().session = session;
        let outcome = scene.done(Step::Program(2), None);
        assert_eq!(result(&scene.job, &scene.folder(), 2, &outcome).unwrap(), "left\ns-1");
    }
}

#[test]
fn the_socket_of_the_run_is_reached_from_inside() {
    for &level in levels() {
        let script = "import os, socket; s = socket.socket(socket.AF_UNIX); s.connect(os.environ['AGENTD_RUN_SOCKET']); \
                      s.sendall(os.environ['AGENTD_RUN'].encode())";
        let mut scene = Scene::new(level, "");
        scene.job.runtime.command = ["python3", "-c", script].map(str::to_owned).to_vec();
        let folder = lay_out(&scene.host, &scene.job).unwrap();
        let door = std::os::unix::net::UnixListener::bind(run_socket(&folder)).unwrap();
        std::fs::set_permissions(run_socket(&folder), std::fs::Permissions::from_mode(0o666)).unwrap();
        scene.done(Step::Program(1), None);
        let mut said = String::new();
        door.accept().unwrap().0.read_to_string(&mut said).unwrap();
        assert_eq!(said, scene.job.run.to_string());
    }
}

#[test]
fn profiles_are_the_hosts_to_describe_and_its_own_places_are_nobodys() {
    for &level in levels() {
        let mut scene = Scene::new(level, "cat \"$TOOLS/tool\"; echo x >\"$TOOLS/tool\" || echo held");
        let tools = scene.path("tools");
        std::fs::create_dir(&tools).unwrap();
        std::fs::set_permissions(&tools, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(tools.join("tool"), "hammer\n").unwrap();
        scene.job.runtime.sandbox = serde_json::from_value(json!({ "profiles": ["tools"] })).unwrap();
        assert!(
            scene.job.check(&scene.host).unwrap_err().to_string().contains("no profile tools; this host has: none")
        );
        let environment = [("TOOLS".to_owned(), tools.to_str().unwrap().to_owned())].into();
        let profile = Profile { read_only_paths: vec![tools.clone()], environment };
        scene.host.profiles.insert("tools".parse().unwrap(), profile);
        scene.job.check(&scene.host).unwrap();
        scene.done(Step::Program(1), None);
        assert!(scene.said(Step::Program(1)).ends_with("hammer\nheld\n"), "{}", scene.said(Step::Program(1)));
        scene.host.keep_out.push(tools.join("tool"));
        assert!(scene.job.check(&scene.host).unwrap_err().to_string().contains("is kept from them"));
        scene.host.keep_out.clear();
        for own in ["/workspace/x", "/home", "/run"] {
            scene.job.runtime.sandbox.read_only_paths = vec![own.to_owned()];
            assert!(scene.job.check(&scene.host).unwrap_err().to_string().contains("they have their own"), "{own}");
        }
    }
}

#[test]
fn a_setup_comes_first_and_asks_for_the_network_in_vain_where_the_host_gives_none() {
    for &level in levels() {
        let mut scene = Scene::new(level, "cat made; cat \"$HOME/made\"");
        let setup = json!({ "setup": "echo workspace >made; echo home >\"$HOME/made\"", "setup_egress": "host" });
        scene.job.workspace = Some(serde_json::from_value(setup).unwrap());
        assert!(scene.job.check(&scene.host).unwrap_err().to_string().contains("which this host gives to no setup"));
        assert!(spec(&scene.host, &scene.job, Step::Setup, &scene.context.lock().unwrap()).is_err());
        scene.job.workspace.as_mut().unwrap().setup_egress = agentd_schemas::document::workspace::Egress::None;
        scene.done(Step::Setup, None);
        scene.done(Step::Program(1), None);
        assert_eq!(scene.said(Step::Program(1)), "workspace\nhome\n");
    }
}
