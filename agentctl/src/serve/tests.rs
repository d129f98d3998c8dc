//! A resident agent at a door that answers from a script.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use agentd_schemas::http::{Complete, Fail, Heartbeat};
use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::key::possession::{Possession, PossessionKind};
use agentd_schemas::key::statement::{Completion, PAYLOAD_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixListener;

use super::*;
use crate::agent_key;

const RUN: &str = "w-aaaaaaaaaaaaaaaa.1";

/// A route with the answers that it gives, in order.
type Scripted = (&'static str, VecDeque<(u16, Value)>);

/// The end of a path, and its answers in turn: status and body.
type Answers<T> = (&'static str, T);

/// A door with answers for each path, the last of which is given again and again, and a record of what was asked.
#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<Vec<Scripted>>>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    socket: Arc<Socket>,
}

/// A socket whose files are gone with the last who knows it.
struct Socket(PathBuf);

impl Socket {
    /// A file that is there once the last heartbeat of the script was answered.
    fn go_on(&self) -> PathBuf {
        self.0.with_extension("go")
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        for file in [self.0.clone(), self.go_on()] {
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Script {
    fn open(name: &str, answers: Vec<Answers<Vec<(u16, Value)>>>) -> Self {
        let random = data_encoding::HEXLOWER.encode(&crate::ambient::random::<8>().unwrap());
        let socket = std::env::temp_dir().join(format!("agentctl-{name}-{random}.sock"));
        let listener = UnixListener::bind(&socket).unwrap();
        let answers = answers.into_iter().map(|(path, answers)| (path, answers.into())).collect();
        let script =
            Self { answers: Arc::new(Mutex::new(answers)), asked: Arc::default(), socket: Arc::new(Socket(socket)) };
        let serving = script.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let script = serving.clone();
                let service = service_fn(move |request| script.clone().answer(request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        script
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        self.asked.lock().unwrap().push((path.clone(), serde_json::from_slice(&body).unwrap()));
        let (status, answer) = {
            let mut answers = self.answers.lock().unwrap();
            let (_, queue) = answers.iter_mut().find(|(known, _)| path.ends_with(known)).unwrap();
            if queue.len() == 1 && path.ends_with("/heartbeat") {
                std::fs::write(self.socket.go_on(), "").unwrap();
            }
            if queue.len() > 1 { queue.pop_front().unwrap() } else { queue[0].clone() }
        };
        let text = if answer.is_null() { String::new() } else { answer.to_string() };
        Ok(Response::builder().status(status).body(Full::new(text.into())).unwrap())
    }

    fn asked<T: serde::de::DeserializeOwned>(&self, path: &str) -> Vec<T> {
        let asked = self.asked.lock().unwrap();
        let fitting = asked.iter().filter(|(asked, _)| asked.ends_with(path));
        fitting.map(|(_, body)| serde_json::from_value(body.clone()).unwrap()).collect()
    }
}

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[3; 32])
}

/// What a daemon answers about everything but the run itself.
fn around(run: Vec<Answers<Vec<(u16, Value)>>>) -> Vec<Answers<Vec<(u16, Value)>>> {
    let public_key = &key().public_key();
    let (kind, trust_domain) = (PossessionKind::Authenticate, "h-1.agentd.internal");
    let possession = Possession { kind, trust_domain, name: "fixer", nonce: "n1", public_key };
    let message = String::from_utf8(possession.message().unwrap()).unwrap();
    let token =
        json!({ "token": "t", "expires_in_s": 60, "agent_id": "spiffe://h-1/agent/fixer-1", "origin": "h-1/log/1" });
    let claim = json!({
        "work": "w-aaaaaaaaaaaaaaaa", "run": RUN, "fence": "1.7", "lease_s": 1, "epoch": 2, "attempt": 1,
        "max_attempts": 2, "title": "t", "instructions": "say hello", "required_skills": [], "judged_by_person": false,
        "acceptance": "00".repeat(32),
    });
    let mut answers = vec![
        ("/v1/challenge", vec![(200, json!({ "nonce": "n1", "message": message }))]),
        ("/v1/token", vec![(200, token)]),
        ("/v1/claim", vec![(204, Value::Null), (200, claim)]),
        ("/start", vec![(200, go_on())]),
        ("/complete", vec![(200, json!({ "state": "completed", "verdicts": [] }))]),
        ("/fail", vec![(200, go_on())]),
    ];
    answers.extend(run);
    answers
}

fn go_on() -> Value {
    json!({ "directive": "continue", "lease_s": 1 })
}

async fn serve(script: &Script, shell: &str) -> Result<(), Failure> {
    let session = Session::new(Door::new(script.socket.0.clone()), "fixer".parse().unwrap(), key());
    let plan =
        Plan { command: ["sh", "-c", shell].map(OsString::from).to_vec(), lease_s: 5, once: true, give_up: None };
    let stop = Stop::on_signals().unwrap();
    let served = tokio::time::timeout(Duration::from_secs(30), work(&session, &plan, &stop));
    served.await.expect("the agent leaves after one work")
}

#[tokio::test(flavor = "current_thread")]
async fn the_output_of_a_command_is_handed_in_with_a_statement_that_its_key_signed() {
    let script = Script::open("complete", around(vec![("/heartbeat", vec![(200, go_on())])]));
    serve(&script, "cat; printf ' %s' \"$AGENTD_RUN\"").await.unwrap();
    let complete: Complete = script.asked("/complete").remove(0);
    assert!(complete.result.contains("\"instructions\":\"say hello\"") && complete.result.ends_with(RUN));
    let payload = complete.statement.verify(&key().public_key(), PAYLOAD_TYPE).unwrap();
    let said = Completion::parse(payload).unwrap();
    assert_eq!((said.fence, said.epoch, said.run.as_str(), said.origin.as_str()), (7, 2, RUN, "h-1/log/1"));
    let digest = <sha2::Sha256 as sha2::Digest>::digest(complete.result.as_bytes());
    assert_eq!(said.artefacts[0].sha256.0, <[u8; 32]>::from(digest));
}

#[tokio::test(flavor = "current_thread")]
async fn a_command_that_fails_gives_up_with_the_end_of_its_stderr() {
    let script = Script::open("fail", around(vec![("/heartbeat", vec![(200, go_on())])]));
    serve(&script, "echo no compiler >&2; exit 3").await.unwrap();
    let fail: Fail = script.asked("/fail").remove(0);
    assert_eq!(fail.message, "the command exited with status 3\nno compiler");
    assert!(script.asked::<Value>("/complete").is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_frozen_run_says_that_it_stands_still_and_goes_on_when_told() {
    let freeze = json!({ "directive": "freeze", "reason": "frozen", "lease_s": 1 });
    let beats = vec![(200, freeze.clone()), (200, freeze), (200, go_on())];
    let script = Script::open("freeze", around(vec![("/heartbeat", beats)]));
    let go_on = script.socket.go_on();
    serve(&script, &format!("until [ -e {} ]; do sleep 0.02; done; echo done", go_on.display())).await.unwrap();
    let beats: Vec<Heartbeat> = script.asked("/heartbeat");
    let frozen: Vec<bool> = beats.iter().take(4).map(|beat| beat.frozen).collect();
    assert_eq!(frozen, [false, true, true, false]);
    assert_eq!(script.asked::<Complete>("/complete")[0].result, "done\n");
}

#[tokio::test(flavor = "current_thread")]
async fn a_run_that_is_not_ours_any_more_is_killed_and_nothing_is_handed_in() {
    let stale = json!({ "code": "stale_fence", "message": "the lease of w-a.1 is over" });
    let script = Script::open("stale", around(vec![("/heartbeat", vec![(409, stale)])]));
    serve(&script, "sleep 600").await.unwrap();
    assert!(script.asked::<Value>("/complete").is_empty() && script.asked::<Value>("/fail").is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_token_that_is_no_longer_good_is_replaced_by_proving_again() {
    let mut answers = around(vec![("/heartbeat", vec![(200, go_on())])]);
    let old = json!({ "code": "unauthenticated", "message": "the token has expired" });
    let at = answers.iter().position(|(path, _)| *path == "/start").unwrap();
    answers[at].1.insert(0, (401, old));
    let script = Script::open("token", answers);
    serve(&script, "true").await.unwrap();
    assert_eq!(script.asked::<Value>("/v1/token").len(), 2);
    assert_eq!(script.asked::<Complete>("/complete").len(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn an_agent_that_is_shut_out_leaves_with_the_reason() {
    let mut answers = around(Vec::new());
    let at = answers.iter().position(|(path, _)| *path == "/v1/token").unwrap();
    answers[at].1 = vec![(403, json!({ "code": "key_revoked", "message": "the key of agent fixer is revoked" }))];
    let script = Script::open("revoked", answers);
    let failure = serve(&script, "true").await.unwrap_err();
    assert_eq!((failure.exit(), failure.message()), (5, "the key of agent fixer is revoked"));
}

#[tokio::test(flavor = "current_thread")]
async fn an_agent_whose_socket_is_nobodys_any_more_leaves_when_it_was_told_to_and_else_waits() {
    let script = Script::open("gone", around(Vec::new()));
    let session = Session::new(Door::new(script.socket.0.with_extension("none")), "fixer".parse().unwrap(), key());
    let stop = Stop::on_signals().unwrap();
    let plan = |give_up| Plan { command: vec![OsString::from("true")], lease_s: 5, once: true, give_up };
    let failure = work(&session, &plan(Some(Duration::from_millis(500))), &stop).await.unwrap_err();
    assert_eq!(failure.exit(), 4, "{}", failure.message());
    assert!(tokio::time::timeout(Duration::from_secs(2), work(&session, &plan(None), &stop)).await.is_err());
}

#[tokio::test(flavor = "current_thread")]
async fn a_rotated_key_is_read_from_its_file_and_the_agent_goes_on() {
    let script = Script::open("rotated", around(vec![("/heartbeat", vec![(200, go_on())])]));
    let file = script.socket.0.with_extension("key");
    agent_key::save(&key(), &"fixer".parse().unwrap(), &file).unwrap();
    let old = PrivateKey::from_seed(&[4; 32]);
    let session = Session::new(Door::new(script.socket.0.clone()), "fixer".parse().unwrap(), old.clone());
    let plan = Plan { command: vec![OsString::from("true")], lease_s: 5, once: true, give_up: None };
    let stop = Stop::on_signals().unwrap();
    let lost = work(&session, &plan, &stop).await.unwrap_err();
    assert!(lost.message().starts_with("agent fixer does not have the key"), "{}", lost.message());
    let session = Session::new(Door::new(script.socket.0.clone()), "fixer".parse().unwrap(), old);
    work(&session.with_file(file.clone()), &plan, &stop).await.unwrap();
    let complete: Complete = script.asked("/complete").remove(0);
    complete.statement.verify(&key().public_key(), PAYLOAD_TYPE).unwrap();
    agent_key::discard(&file);
}
