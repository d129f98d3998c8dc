//! What must not work: signatures that are not right, tokens of others, and requests made to hurt.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on ends there, and measures how long it waited"
)]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use agentd_schemas::http::Claim;
use agentd_schemas::key::dsse::Envelope;
use agentd_schemas::key::statement::Completion;
use agentd_schemas::problem::Problem;
use agentd_tests::harness::{Agent, Daemon, Operator, Request, Settings, eventually, exchange, is_root, key_of, skip};
use serde_json::{Value, json};

fn scene() -> (Daemon, Operator, Agent) {
    let daemon = Daemon::start();
    let operator = daemon.operator();
    let agent = Agent::enrol(&daemon, &operator, "worker", &[]);
    (daemon, operator, agent)
}

fn claimed(operator: &Operator, agent: &Agent) -> Claim {
    operator.submit(&json!({"title": "x"}));
    agent.claim()
}

fn code(problem: &Problem) -> &'static str {
    problem.code.as_str()
}

/// What a forger changes in a statement.
type Change = fn(&mut Completion);

#[test]
fn a_statement_about_anything_else_is_refused_and_the_field_named() {
    let (_daemon, operator, agent) = scene();
    let claim = claimed(&operator, &agent);
    let right = agent.statement(&claim, "result");
    let changes: [(&str, Change); 8] = [
        ("origin", |said| said.origin.push('x')),
        ("work", |said| said.work = "w-7kq3x2mbnd5fa6uz".to_owned()),
        ("run", |said| said.run = said.run.replace(".1", ".2")),
        ("fence", |said| said.fence += 1),
        ("agent", |said| said.agent.push('x')),
        ("epoch", |said| said.epoch += 1),
        ("acceptance", |said| said.acceptance.0[0] ^= 1),
        ("sha256", |said| said.artefacts[0].sha256.0[31] ^= 1),
    ];
    for (field, change) in changes {
        let mut wrong = right.clone();
        change(&mut wrong);
        let problem = agent.hand_in(&claim, "result", &wrong, &agent.key).problem();
        assert_eq!(code(&problem), "bad_signature", "{field}");
        assert!(problem.message.contains(field), "{field}: {}", problem.message);
    }
    let problem = agent.hand_in(&claim, "another result", &right, &agent.key).problem();
    assert_eq!(code(&problem), "bad_signature");
    let problem = agent.hand_in(&claim, "result", &right, &key_of("a stranger")).problem();
    assert_eq!(code(&problem), "bad_signature");
    // Refusals changed nothing: the right one is still taken.
    agent.complete(&claim, "result");
    assert_eq!(operator.count("WorkCompleted"), 1);
    eventually("the failures to be on record", || (operator.count("AuthenticationFailed") > 0).then_some(()));
}

#[test]
fn a_signature_over_another_payload_type_is_refused() {
    let (_daemon, operator, agent) = scene();
    let claim = claimed(&operator, &agent);
    let payload = agent.statement(&claim, "r").to_json().unwrap();
    let envelope = Envelope::sign(&agent.key, "text/plain", &payload).unwrap();
    let problem = agent.say(&claim, "complete", json!({"result": "r", "statement": envelope})).problem();
    assert_eq!(code(&problem), "bad_signature");
}

#[test]
fn a_statement_of_an_earlier_attempt_is_no_use_for_the_next() {
    let (_daemon, operator, agent) = scene();
    let schema = json!({"json_schema": {"type": "integer"}});
    operator.submit(&json!({"title": "n", "acceptance": [schema]}));
    let first = agent.claim();
    let old = agent.statement(&first, "\"no\"");
    agent.hand_in(&first, "\"no\"", &old, &agent.key).read::<Value>();
    let second = agent.claim();
    let replayed = agent.hand_in(&second, "\"no\"", &old, &agent.key).problem();
    assert_eq!(code(&replayed), "bad_signature");
    let late = agent.hand_in(&first, "1", &agent.statement(&first, "1"), &agent.key).problem();
    assert_eq!(code(&late), "stale_fence");
    agent.complete(&second, "1");
}

#[test]
fn a_result_that_two_readers_read_differently_is_refused_and_the_run_goes_on() {
    let (_daemon, operator, agent) = scene();
    let schema = json!({"json_schema": {"properties": {"lines": {"type": "integer"}}}});
    operator.submit(&json!({"title": "n", "acceptance": [schema]}));
    let claim = agent.claim();
    for result in [
        r#"{"lines": "a lie", "lines": 3}"#,
        &format!("{}{}", "[".repeat(40), "]".repeat(40)),
        r#"{"lines": "\ud800"}"#,
    ] {
        let problem = agent.hand_in(&claim, result, &agent.statement(&claim, result), &agent.key).problem();
        assert_eq!(code(&problem), "invalid_document", "{result}");
    }
    agent.complete(&claim, r#"{"lines": 3}"#);
}

#[test]
fn a_schema_that_multiplies_itself_does_not_get_in() {
    let (_daemon, operator, _agent) = scene();
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

#[test]
fn a_nonce_is_good_once_and_for_its_own_name() {
    let (daemon, operator, agent) = scene();
    let other = Agent::enrol(&daemon, &operator, "other", &[]);
    let challenge = agent.challenge();
    assert_eq!(agent.redeem(&challenge, &agent.key).status, 200);
    assert_eq!(code(&agent.redeem(&challenge, &agent.key).problem()), "unauthenticated");
    assert_eq!(code(&agent.redeem(&agent.challenge(), &other.key).problem()), "bad_signature");
    let mut borrowed = other.challenge();
    borrowed.message = borrowed.message.replace("name: other", "name: worker");
    assert_eq!(code(&agent.redeem(&borrowed, &agent.key).problem()), "unauthenticated");
    let stranger = Agent::stranger(&daemon, "nobody");
    assert_eq!(code(&stranger.redeem(&stranger.challenge(), &stranger.key).problem()), "bad_signature");
}

#[test]
fn an_enrolment_needs_the_key_it_names() {
    let (_daemon, operator, agent) = scene();
    let nonce: String = operator.call("Agents", "Challenge", &"thief").unwrap();
    let enrolment = json!({"agent": {"name": "thief"}, "public_key": key_of("thief").public_key().to_string(),
        "nonce": nonce, "signature": data_encoding::BASE64.encode(&[7; 64])});
    let problem = operator.ask("Agents", "Enroll", &enrolment.to_string()).unwrap_err();
    assert_eq!(code(&problem), "bad_signature");
    let problem = Agent::enrolment(&operator, &json!({"name": "twin"}), &agent.key).unwrap_err();
    assert_eq!(code(&problem), "name_taken", "a key belongs to one agent");
    let problem = Agent::enrolment(&operator, &json!({"name": "worker"}), &key_of("new")).unwrap_err();
    assert_eq!(code(&problem), "name_taken");
}

#[test]
fn a_token_speaks_for_its_own_agent_alone() {
    let (daemon, operator, agent) = scene();
    let other = Agent::enrol(&daemon, &operator, "other", &[]);
    let claim = claimed(&operator, &agent);
    for (verb, document) in [
        ("start", json!({})),
        ("heartbeat", json!({})),
        ("note", json!({"text": "mine now"})),
        ("cost", json!({"tokens": 1})),
        ("reserve", json!({"tokens": 1})),
        ("ask", json!({"text": "?"})),
        ("children", json!({"works": [{"title": "part"}]})),
        ("fail", json!({"message": "no"})),
    ] {
        let problem = other.say(&claim, verb, document).problem();
        assert!(["denied", "not_found"].contains(&code(&problem)), "{verb}: {problem:?}");
    }
    let stolen = other.hand_in(&claim, "r", &other.statement(&claim, "r"), &other.key).problem();
    assert!(["denied", "not_found"].contains(&code(&stolen)), "{stolen:?}");
    for token in ["", "guess", &"A".repeat(43), &agent.token[1..]] {
        let token = Some(token);
        let request = Request { method: "POST", path: "/v1/claim", token, body: b"{}" };
        assert_eq!(code(&request.send(&daemon.agents_socket()).problem()), "unauthenticated");
    }
    agent.complete(&claim, "r");
}

#[test]
fn a_revoked_key_ends_its_tokens_and_its_signatures() {
    let (_daemon, operator, mut agent) = scene();
    let claim = claimed(&operator, &agent);
    operator.call::<()>("Agents", "RevokeKey", &("worker", "lost laptop")).unwrap();
    for answer in [
        agent.say(&claim, "heartbeat", json!({})),
        agent.hand_in(&claim, "r", &agent.statement(&claim, "r"), &agent.key),
        agent.post("/v1/claim", &json!({})),
    ] {
        let problem = answer.problem();
        assert!(["unauthenticated", "key_revoked", "stale_fence"].contains(&code(&problem)), "{problem:?}");
    }
    assert_eq!(code(&agent.sign_in().unwrap_err()), "key_revoked");
    assert_eq!(operator.count("WorkCompleted"), 0);
}

#[test]
fn after_a_rotation_the_old_key_signs_nothing() {
    let (_daemon, operator, mut agent) = scene();
    let new = key_of("worker, anew");
    let nonce: String = operator.call("Agents", "Challenge", &"worker").unwrap();
    let trust_domain = operator.ask("Host", "Status", &()).unwrap()["trust_domain"].as_str().unwrap().to_owned();
    let message = format!(
        "agentd-possession-v1\nkind: rotate\ntrust-domain: {trust_domain}\nname: worker\nnonce: {nonce}\npublic-key: {}\n",
        new.public_key()
    );
    let signature = data_encoding::BASE64.encode(&new.sign(message.as_bytes()));
    let rotation = json!({"name": "worker", "public_key": new.public_key().to_string(), "nonce": nonce,
        "signature": signature, "reason": "yearly"});
    operator.call::<()>("Agents", "RotateKey", &rotation.to_string()).unwrap();
    let old = std::mem::replace(&mut agent.key, new);
    assert_eq!(code(&agent.redeem(&agent.challenge(), &old).problem()), "bad_signature");
    agent.sign_in().unwrap();
    let claim = claimed(&operator, &agent);
    let problem = agent.hand_in(&claim, "r", &agent.statement(&claim, "r"), &old).problem();
    assert_eq!(code(&problem), "bad_signature");
    agent.complete(&claim, "r");
    assert_eq!(code(&Agent::enrolment(&operator, &json!({"name": "heir"}), &old).unwrap_err()), "name_taken");
}

#[test]
fn agents_have_no_way_to_judge_their_own_results() {
    let (daemon, operator, agent) = scene();
    let id = operator.submit(&json!({"title": "x", "acceptance": [{"person": "owner"}]}));
    let claim = agent.claim();
    agent.complete(&claim, "my best");
    for path in [format!("/v1/runs/{}/accept", claim.run), format!("/v1/works/{id}/accept"), "/v1/accept".to_owned()] {
        let answer = agent.post(&path, &json!({"fence": claim.fence, "work": id}));
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(code(&answer.problem()), "not_found", "{path}");
    }
    assert_eq!(operator.state(&id), "verifying");
    // Bytes of one door mean nothing at the other.
    let answer = exchange(&daemon.agents_socket(), b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n");
    assert!([0, 400].contains(&answer.status), "{}", answer.status);
}

#[test]
fn a_document_that_two_readers_could_read_differently_is_refused_at_both_doors() {
    let (_daemon, operator, agent) = scene();
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let before = operator.events().len();
    let documents: [(&str, String); 8] = [
        ("duplicate", r#"{"title": "a", "title": "b"}"#.to_owned()),
        ("title", r#"{"titel": "a"}"#.to_owned()),
        ("", format!(r#"{{"title": "a", "inputs": {deep}}}"#)),
        ("", "{\"title\": \"a\"".to_owned()),
        ("", "title = 'a'".to_owned()),
        ("", r#"{"title": "\ud800"}"#.to_owned()),
        ("", r#"{"title": 1e999}"#.to_owned()),
        ("priority", r#"{"title": "a", "priority": 101}"#.to_owned()),
    ];
    for (word, document) in &documents {
        let short: String = document.chars().take(60).collect();
        let problem = operator.ask("Works", "Submit", &(document.as_str(), "")).unwrap_err();
        assert!(["invalid_document", "out_of_bounds", "too_large"].contains(&code(&problem)), "{short}: {problem:?}");
        let told = format!("{} {}", problem.message, problem.hint.unwrap_or_default());
        assert!(told.contains(word), "{short}: {told}");
    }
    for body in [
        br#"{"wait_s": 0, "wait_s": 0}"#.as_slice(),
        br#"{"wait_s": 0, "lease": 5}"#,
        br#"{"wait_s": 61}"#,
        br#"{"lease_s": 4}"#,
        br#"{"lease_s": 3601}"#,
        b"{\"wait_s\": \xff}",
        b"\xef\xbb\xbf{}",
        deep.as_bytes(),
    ] {
        let answer = agent.post_bytes("/v1/claim", body);
        assert_eq!(answer.status, 400, "{}", String::from_utf8_lossy(&body[..body.len().min(60)]));
        assert!(["invalid_document", "out_of_bounds"].contains(&code(&answer.problem())));
    }
    let unknown = agent.post_bytes("/v1/claim", br#"{"wait": 1}"#).problem();
    assert!(format!("{} {:?}", unknown.message, unknown.hint).contains("wait_s"), "{unknown:?}");
    assert_eq!(operator.events().len(), before, "nothing was written");
}

#[test]
fn a_gigabyte_is_refused_before_it_is_sent() {
    let (daemon, _operator, agent) = scene();
    let mut stream = UnixStream::connect(daemon.agents_socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "POST /v1/claim HTTP/1.1\r\nhost: agentd\r\nauthorization: Bearer {}\r\ncontent-length: 1073741824\r\n\r\n",
        agent.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[test]
fn a_body_without_a_length_is_cut_at_the_bound() {
    let (daemon, _operator, agent) = scene();
    let mut request = format!(
        "POST /v1/claim HTTP/1.1\r\nhost: agentd\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
        agent.token
    )
    .into_bytes();
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    for _ in 0..9 {
        request.extend_from_slice(&chunk);
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let answer = exchange(&daemon.agents_socket(), &request);
    assert!([413, 0].contains(&answer.status), "{}", answer.status);
    assert!(agent.ask(0).is_none(), "the daemon serves on");
}

#[test]
fn a_slow_client_is_left_behind_and_others_are_served() {
    let (daemon, operator, agent) = scene();
    let mut slow: Vec<UnixStream> = (0..50)
        .map(|_| {
            let mut stream = UnixStream::connect(daemon.agents_socket()).unwrap();
            stream.write_all(b"POST /v1/claim HTTP/1.1\r\nhost: a").unwrap();
            stream
        })
        .collect();
    operator.submit(&json!({"title": "x"}));
    let began = Instant::now();
    agent.complete(&agent.claim(), "r");
    assert!(began.elapsed() < Duration::from_secs(8), "not after the slow ones");
    let mut rest = Vec::new();
    slow[0].set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    slow[0].read_to_end(&mut rest).expect("the daemon closes it");
}

#[test]
fn noise_at_a_door_disturbs_nobody() {
    let (daemon, operator, agent) = scene();
    for socket in [daemon.agents_socket(), daemon.control_socket()] {
        for noise in [b"\r\n\r\n".as_slice(), &[0; 4096], &[0xff; 4096], b"GET / HTTP/9.9\r\n\r\n", b"\0AUTH\r\n\0\0"] {
            let mut stream = UnixStream::connect(&socket).unwrap();
            let _ = stream.write_all(noise);
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
    }
    let claim = claimed(&operator, &agent);
    agent.complete(&claim, "r");
}

#[test]
fn a_thread_of_another_user_gets_nothing_at_either_door() {
    if !is_root() {
        return skip("another uid needs root");
    }
    let (daemon, operator, agent) = scene();
    let id = operator.submit(&json!({"title": "private words"}));
    // The doors are shut for others by their modes; opened wide, who calls is still known from the kernel.
    let run = daemon.state().join("run");
    for path in [daemon.state(), run.clone(), run.join("agents.sock"), run.join("control.sock")] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    }
    let (token, socket) = (agent.token.clone(), daemon.agents_socket());
    let control = daemon.control_socket();
    let other = std::thread::spawn(move || {
        let nobody = rustix::process::Uid::from_raw(65_534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        let claim = Request { method: "POST", path: "/v1/claim", token: Some(&token), body: b"{}" }.send(&socket);
        assert_eq!(claim.problem().code.as_str(), "unauthenticated", "a token of another uid");
        let signed = agent.redeem(&agent.challenge(), &agent.key).problem();
        assert_eq!(signed.code.as_str(), "bad_signature", "the right key under another uid");
        let operator = Operator::connect(&control);
        let hidden = operator.ask("Works", "Show", &id.as_str()).unwrap_err();
        assert!(["not_found", "denied"].contains(&hidden.code.as_str()), "{hidden:?}");
        let works = operator.ask("Works", "List", &"{}").unwrap();
        assert!(works["works"].as_array().unwrap().is_empty(), "{works}");
        for (interface, method) in [("Works", "Cancel"), ("Works", "Retry"), ("Works", "Reject")] {
            let problem = operator.ask(interface, method, &(id.as_str(), "no")).unwrap_err();
            assert!(["not_found", "denied"].contains(&problem.code.as_str()), "{method}: {problem:?}");
        }
        let freeze = operator.ask("Host", "Freeze", &(json!("all").to_string(), "mine")).unwrap_err();
        assert_eq!(freeze.code.as_str(), "denied");
        let events = operator.events();
        assert!(!json!(events).to_string().contains(&id), "another owner's events are hidden");
    });
    other.join().unwrap();
    eventually("the denial to be on record", || (operator.count("AccessDenied") > 0).then_some(()));
}

#[test]
fn no_secret_is_written_to_the_log_or_the_ledger() {
    let config = Some("[log]\nlevel = \"trace\"\n".to_owned());
    let mut daemon = Daemon::with(Settings { config, ..Settings::default() });
    let operator = daemon.operator();
    let agent = Agent::enrol(&daemon, &operator, "worker", &[]);
    let canary = "canary-5f1c0e";
    operator
        .submit(&json!({"title": canary, "instructions": format!("{canary} instructions"), "inputs": {"k": canary}}));
    let claim = agent.claim();
    agent.say(&claim, "note", json!({"text": format!("{canary} note")})).read::<Value>();
    agent.complete(&claim, &format!("{canary} result"));
    let token = agent.token.clone();
    let host_keys: Vec<Vec<u8>> = secrets(&daemon);
    assert!(!host_keys.is_empty(), "the host has keys");
    drop(operator);
    daemon.stop();
    let log = daemon.log();
    assert!(log.len() > 200, "there is a log: {log}");
    assert!(!log.contains(canary), "content in the log");
    let ledger: Vec<u8> = ["ledger.db", "ledger.db-wal"]
        .iter()
        .flat_map(|name| std::fs::read(daemon.state().join(name)).unwrap_or_default())
        .collect();
    assert!(holds(&ledger, canary.as_bytes()), "content is kept in the ledger, so the search can find something");
    for secret in host_keys.iter().map(Vec::as_slice).chain([token.as_bytes()]) {
        assert!(!holds(log.as_bytes(), secret) && !holds(&ledger, secret), "a secret was written");
    }
}

/// The middle of each private key file below the state directory.
fn secrets(daemon: &Daemon) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut directories = vec![daemon.state()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path)
                && text.contains("PRIVATE KEY")
            {
                assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
                found.push(text.lines().nth(2).unwrap().as_bytes().to_vec());
            }
        }
    }
    found
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
