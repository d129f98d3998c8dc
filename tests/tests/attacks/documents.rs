//! Documents that are not what they seem, through every door that takes one.

use std::io::Write;
use std::process::{Output, Stdio};

use agentd_schemas::event::WorkState;
use agentd_tests::harness::{Daemon, Operator, scene};
use serde_json::{Value, json};

use super::{claimed, code};

/// Values inside each other.
const DEEP: usize = 100_000;

/// What no door takes, whatever the document should be: the word that each is refused with, and the bytes.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let lists = "[".repeat(DEEP) + &"]".repeat(DEEP);
    let objects = "{\"a\":".repeat(DEEP) + "1" + &"}".repeat(DEEP);
    let deep = format!("{{\"title\": \"a\", \"inputs\": {lists}}}");
    vec![
        ("nested", lists.clone().into_bytes()),
        ("nested", objects.into_bytes()),
        ("nested", deep.into_bytes()),
        ("nested", "[".repeat(DEEP).into_bytes()),
        ("duplicate key \"title\"", br#"{"title": "a", "title": "b"}"#.to_vec()),
        ("duplicate key \"k\"", br#"{"title": "a", "inputs": {"k": 1, "k": 2}}"#.to_vec()),
        ("duplicate key \"k\"", br#"{"title": "a", "inputs": {"k": 1, "\u006b": 2}}"#.to_vec()),
        ("", br#"{"title": "\ud800"}"#.to_vec()),
        ("", br#"{"title": "\udc00\ud800"}"#.to_vec()),
        ("byte order mark", b"\xef\xbb\xbf{\"title\": \"a\"}".to_vec()),
        ("", br#"{"title": "a""#.to_vec()),
        ("", br#"{"title": 1e999}"#.to_vec()),
    ]
}

/// Bytes that are no UTF-8 at all. D-Bus strings cannot hold them.
fn no_text() -> Vec<Vec<u8>> {
    vec![
        b"{\"title\": \"\xff\"}".to_vec(),
        b"{\"title\": \"\xed\xa0\x80\"}".to_vec(),
        b"{\"title\": \"\xc0\xaf\"}".to_vec(),
    ]
}

fn short(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned()
}

/// One call of the operators' door with a document.
type Call = fn(&Operator, &str) -> Result<Value, agentd_schemas::problem::Problem>;

#[test]
fn every_call_that_takes_a_document_refuses_what_is_malformed() {
    let (_daemon, operator, agent) = scene(&[]);
    let id = operator.submit(&json!({"title": "x"}));
    let before = operator.events().len();
    let calls: [(&str, Call); 15] = [
        ("Submit", |door, text| door.ask("Works", "Submit", &(text, ""))),
        ("SubmitMany", |door, text| door.ask("Works", "SubmitMany", &(text, ""))),
        ("Check", |door, text| door.ask("Works", "Check", &text)),
        ("List", |door, text| door.ask("Works", "List", &text)),
        ("Raise", |door, text| door.ask("Works", "Raise", &(WORK, text))),
        ("Enroll", |door, text| door.ask("Agents", "Enroll", &text)),
        ("DeclareSkills", |door, text| door.call::<()>("Agents", "DeclareSkills", &("worker", text)).map(Value::from)),
        ("RotateKey", |door, text| door.call::<()>("Agents", "RotateKey", &text).map(Value::from)),
        ("SetModel", |door, text| door.call::<u32>("Agents", "SetModel", &("worker", text, "new")).map(Value::from)),
        ("Freeze", |door, text| door.ask("Host", "Freeze", &(text, "look"))),
        ("Thaw", |door, text| door.call::<()>("Host", "Thaw", &text).map(Value::from)),
        ("SetAccountLimit", |door, text| door.call::<()>("Host", "SetAccountLimit", &text).map(Value::from)),
        ("Events", |door, text| door.ask("Ledger", "Events", &text)),
        ("Set", |door, text| door.call::<()>("Objectives", "Set", &text).map(Value::from)),
        ("Add", |door, text| door.ask("Schedules", "Add", &(text, ""))),
    ];
    for (name, call) in calls {
        for (word, document) in malformed() {
            let text = String::from_utf8(document).unwrap();
            let problem = call(&operator, &text).unwrap_err();
            assert_eq!(code(&problem), "invalid_document", "{name}: {}: {problem:?}", short(text.as_bytes()));
            let told = format!("{} {}", problem.message, problem.hint.unwrap_or_default());
            assert!(told.contains(word), "{name}: {}: {told}", short(text.as_bytes()));
        }
    }
    assert_eq!(operator.events().len(), before, "nothing was written");
    assert_eq!(operator.state(&id), "ready");
    agent.complete(&agent.claim(), "the daemon serves on");
}

/// A work's id, for calls whose document is read first.
const WORK: &str = "w-7kq3x2mbnd5fa6uz";

#[test]
fn every_route_that_takes_a_document_refuses_what_is_malformed() {
    let (_daemon, operator, agent) = scene(&[]);
    let claim = claimed(&operator, &agent);
    let before = operator.events().len();
    let runs = ["start", "heartbeat", "note", "cost", "reserve", "ask", "children", "complete", "fail"];
    let routes = runs.iter().map(|verb| format!("/v1/runs/{}/{verb}", claim.run));
    for path in routes.chain(["/v1/challenge", "/v1/token", "/v1/claim"].map(str::to_owned)) {
        let texts = malformed().into_iter().chain(no_text().into_iter().map(|bytes| ("UTF-8", bytes)));
        for (word, body) in texts.chain([("", Vec::new()), ("", b"fence=1.2".to_vec())]) {
            let problem = agent.post_bytes(&path, &body).problem();
            assert_eq!(code(&problem), "invalid_document", "{path}: {}: {problem:?}", short(&body));
            assert!(problem.message.contains(word), "{path}: {}: {problem:?}", short(&body));
        }
    }
    for (verb, document, words) in [
        ("fail", json!({"message": " "}), "the message is empty"),
        ("cost", json!({"tokens": 1, "source": "guessed"}), "a source is reported or estimated"),
        ("note", json!({"text": "x", "key": 18_446_744_073_709_551_615_u64}), "key"),
    ] {
        let problem = agent.say(&claim, verb, document).problem();
        assert!(code(&problem) == "invalid_document" && problem.message.contains(words), "{problem:?}");
        assert!(!problem.message.contains("metered"), "{problem:?}");
    }
    assert_eq!(operator.events().len(), before, "nothing was written");
    agent.complete(&claim, "the daemon serves on");
}

/// Runs agentctl with a document at its standard input.
fn fed(daemon: &Daemon, arguments: &[&str], bytes: &[u8]) -> Output {
    let mut command = daemon.agentctl_command();
    let mut child =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may refuse before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    child.wait_with_output().unwrap()
}

#[test]
fn every_command_that_takes_a_file_refuses_what_is_malformed() {
    let (daemon, operator, _agent) = scene(&[]);
    let before = operator.events().len();
    let file = daemon.file("document.json");
    let refused = |output: &Output, word: &str, what: &str| {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{what}: {told}");
        let said = told.contains(word) || told.contains("is larger than");
        assert!(told.starts_with("error: ") && said && told.len() < 2000, "{what}: {told}");
    };
    // A mark that editors write is left out by agentctl, and by no door.
    let malformed = || malformed().into_iter().filter(|(word, _)| *word != "byte order mark");
    for (word, document) in malformed().chain(no_text().into_iter().map(|bytes| ("UTF-8", bytes))) {
        std::fs::write(&file, &document).unwrap();
        let name = file.to_str().unwrap();
        for arguments in [
            ["submit", "--file", name].as_slice(),
            &["submit", "--dry-run", "--file", name],
            &["schedule", "add", "--file", name],
            &["agent", "enroll", "--file", name],
            &["model", "set", "worker", "--reason", "new", "--file", name],
            &["slo", "set", "--file", name],
        ] {
            refused(&daemon.agentctl(arguments), word, &format!("{arguments:?} of {}", short(&document)));
        }
    }
    // TOML and JSON Lines by their names, and a document at standard input.
    for (name, word, document) in [
        ("a.toml", "title", "title = 'a'\ntitle = 'b'\n".as_bytes().to_vec()),
        ("b.toml", "", format!("title = 'a'\ninputs = {}", "[".repeat(DEEP)).into_bytes()),
        ("c.toml", "UTF-8", b"title = '\xff'".to_vec()),
        ("d.toml", "", b"title = \"\\ud800\"".to_vec()),
        ("e.jsonl", "title", b"{\"title\": \"a\"}\n{\"title\": \"b\", \"title\": \"c\"}\n".to_vec()),
        ("f.jsonl", "nested", format!("{{\"title\": \"a\"}}\n{}\n", "[".repeat(DEEP)).into_bytes()),
        ("g.jsonl", "UTF-8", b"{\"title\": \"a\"}\n{\"title\": \"\xff\"}\n".to_vec()),
    ] {
        let file = daemon.file(name);
        std::fs::write(&file, &document).unwrap();
        refused(&daemon.agentctl(&["submit", "--file", file.to_str().unwrap()]), word, name);
    }
    // Without a name the first bytes say what it is, and two brackets begin a table of TOML.
    for (_, document) in malformed() {
        refused(&fed(&daemon, &["submit", "--file", "-"], &document), "", &short(&document));
    }
    assert_eq!(operator.events().len(), before, "nothing was written, the good first line of a list included");
}

#[test]
fn an_unknown_field_is_refused_with_the_nearest_and_a_number_with_its_bounds() {
    let (_daemon, operator, agent) = scene(&[]);
    let before = operator.events().len();
    for (word, document) in
        [("title", r#"{"titel": "a"}"#), ("", "title = 'a'"), ("priority", r#"{"title": "a", "priority": 101}"#)]
    {
        let problem = operator.ask("Works", "Submit", &(document, "")).unwrap_err();
        assert!(["invalid_document", "out_of_bounds"].contains(&code(&problem)), "{document}: {problem:?}");
        let told = format!("{} {}", problem.message, problem.hint.unwrap_or_default());
        assert!(told.contains(word), "{document}: {told}");
    }
    for body in [r#"{"wait_s": 0, "lease": 5}"#, r#"{"wait_s": 61}"#, r#"{"lease_s": 4}"#, r#"{"lease_s": 3601}"#] {
        let answer = agent.post_bytes("/v1/claim", body.as_bytes());
        assert_eq!(answer.status, 400, "{body}");
        assert!(["invalid_document", "out_of_bounds"].contains(&code(&answer.problem())));
    }
    let unknown = agent.post_bytes("/v1/claim", br#"{"wait": 1}"#).problem();
    assert!(format!("{} {:?}", unknown.message, unknown.hint).contains("wait_s"), "{unknown:?}");
    assert_eq!(operator.events().len(), before, "nothing was written");
}

#[test]
fn a_result_that_two_readers_read_differently_is_refused_and_the_run_goes_on() {
    let (_daemon, operator, agent) = scene(&[]);
    let schema = json!({"json_schema": {"properties": {"n": {"type": "integer"}}}});
    operator.submit(&json!({"title": "x", "acceptance": [schema]}));
    let claim = agent.claim();
    let deep = "[".repeat(DEEP) + &"]".repeat(DEEP);
    for result in [r#"{"n": "two", "n": 2}"#, deep.as_str(), r#"{"n": "\ud800"}"#] {
        let problem = agent.hand_in(&claim, result, &agent.statement(&claim, result), &agent.key).problem();
        assert_eq!(code(&problem), "invalid_document", "{}", short(result.as_bytes()));
    }
    assert_eq!(agent.complete(&claim, r#"{"n": 2}"#).state, WorkState::Completed);
}

#[test]
fn a_result_that_is_no_json_meets_no_schema() {
    let (_daemon, operator, agent) = scene(&[]);
    let schema = json!({"json_schema": {"properties": {"n": {"type": "integer"}}}});
    operator.submit(&json!({"title": "x", "acceptance": [schema], "limits": {"max_attempts": 1}}));
    let refused = agent.complete(&agent.claim(), "n = 2");
    assert_eq!((refused.state, refused.verdicts[0].met), (WorkState::Failed, Some(false)));
    assert!(refused.message.unwrap_or_default().contains("JSON"));
}

#[test]
fn a_schema_that_multiplies_itself_does_not_get_in() {
    let (_daemon, operator, _agent) = scene(&[]);
    for levels in [19, 28] {
        let mut defs = serde_json::Map::new();
        for level in 0..levels {
            let next = format!("#/$defs/a{}", level + 1);
            defs.insert(format!("a{level}"), json!({"anyOf": [{"$ref": next}, {"$ref": next}]}));
        }
        defs.insert(format!("a{levels}"), json!({"type": "integer"}));
        let schema = json!({"$ref": "#/$defs/a0", "$defs": defs});
        let work = json!({"title": "n", "acceptance": [{"json_schema": schema}]});
        let problem = operator.ask("Works", "Submit", &(work.to_string(), "")).unwrap_err();
        assert_eq!(code(&problem), "invalid_document");
    }
}
