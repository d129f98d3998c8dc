//! The door over its real socket, in front of a real engine. Who is asked of the kernel: this process is below its parent,
//! and below nobody that it started.

mod handing_in;

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use agentd_schemas::http::run::RunDocument;
use agentd_schemas::http::{ClaimRequest, Directive, RunStatus};
use agentd_schemas::problem::{Code, Problem};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::nearest::{READ, WRITTEN};
use super::serve;
use crate::domain::command::RunRef;
use crate::engine::doors::OpenDoor;
use crate::engine::{Engine, trial};
use crate::policy::Caller;
use crate::sys::children::Held;
use crate::sys::process::effective_uid;
use crate::sys::scratch::Scratch;

struct Scene {
    engine: Engine,
    state: Scratch,
    run: RunRef,
    shim: watch::Sender<Option<Arc<Held>>>,
    _stop: watch::Sender<bool>,
}

fn owner() -> Caller {
    Caller::person(1000, false, false)
}

/// The process that started this one: what is here is below it.
fn above() -> Arc<Held> {
    Arc::new(Held::open(rustix::process::getppid().unwrap()).unwrap())
}

fn held(child: &Child) -> Arc<Held> {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    Arc::new(Held::open(pid).unwrap())
}

async fn scene() -> Scene {
    scene_of(above()).await
}

async fn scene_of(shim: Arc<Held>) -> Scene {
    let (engine, state) = trial::engine().await;
    trial::enrol(&engine, &owner(), "fixer", 7).await;
    trial::submit(&engine, &owner(), json!({ "title": "Count the sheep", "limits": { "timeout": "1h" } })).await;
    let agent = Caller::agent("fixer".parse().unwrap(), 1000);
    let claim = engine.claim(&agent, &ClaimRequest::default()).await.unwrap().unwrap();
    let run = RunRef { work: claim.work, attempt: claim.attempt, fence: claim.fence };
    let (stop, stopped) = watch::channel(false);
    let scene = Scene { engine, state, run, shim: watch::Sender::new(Some(shim)), _stop: stop };
    std::fs::create_dir(scene.state.join("r")).unwrap();
    scene.open();
    tokio::spawn(serve(scene.engine.clone(), stopped));
    // The folder of artefacts is made on the way.
    assert_eq!(scene.ask("GET", "/v1/health", "").await.0, 200);
    scene
}

impl Scene {
    fn open(&self) {
        let what = OpenDoor {
            run: self.run,
            agent: "fixer".parse().unwrap(),
            owner: 1000,
            uid: effective_uid(),
            folder: self.state.join("r"),
            shim: self.shim.subscribe(),
        };
        self.engine.open_door(what).unwrap();
    }

    fn id(&self) -> agentd_schemas::id::RunId {
        self.engine.doors().borrow().values().next().unwrap().run()
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.state.join("r/door/run.sock")).await.unwrap()
    }

    async fn ask(&self, method: &str, path: &str, body: impl Into<Bytes>) -> (u16, Bytes) {
        let body: Full<Bytes> = Full::new(body.into());
        let (mut client, driver) = handshake(TokioIo::new(self.connect().await)).await.unwrap();
        tokio::spawn(driver);
        let request = Request::builder().method(method).uri(path).header("host", "agentd");
        let request = request.header(header::CONTENT_LENGTH, hyper::body::Body::size_hint(&body).lower());
        let response = client.send_request(request.body(body).unwrap()).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json", "{method} {path}");
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    }

    async fn post(&self, what: &str, body: Value) -> (u16, Value) {
        let (status, answer) = self.ask("POST", &format!("/v1/run/{what}"), body.to_string()).await;
        (status, serde_json::from_slice(&answer).unwrap())
    }

    async fn artefact(&self, name: &str, body: impl Into<Bytes>) -> (u16, Value) {
        let (status, answer) = self.ask("POST", &format!("/v1/run/artefact?name={name}"), body).await;
        (status, serde_json::from_slice(&answer).unwrap())
    }

    /// What comes back for these bytes, whatever they are.
    async fn raw(&self, bytes: &str) -> String {
        let mut stream = self.connect().await;
        let _ = stream.write_all(bytes.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn shown(&self) -> RunDocument {
        serde_json::from_slice(&self.ask("GET", "/v1/run", "").await.1).unwrap()
    }
}

fn problem(answer: &[u8]) -> Problem {
    serde_json::from_slice(answer).unwrap()
}

#[tokio::test]
async fn a_run_is_shown_its_work_and_speaks_without_a_token() {
    let scene = scene().await;
    let shown = scene.shown().await;
    assert_eq!((shown.claim.title.as_str(), shown.claim.fence), ("Count the sheep", scene.run.fence));
    assert!(shown.claim.timeout_s.is_some_and(|left| (3590..=3600).contains(&left)), "{:?}", shown.claim.timeout_s);
    assert_eq!((shown.status.directive, shown.finished), (Directive::Continue, false));
    for (what, body) in [
        ("progress", json!({ "text": "counting" })),
        ("reserve", json!({ "tokens": 10, "key": "a" })),
        ("cost", json!({ "tokens": 7, "key": "b" })),
        ("note", json!({ "text": "two are goats", "key": "a note" })),
        ("children", json!({ "works": [{ "title": "the north field" }], "key": "north" })),
        ("ask", json!({ "text": "do goats count?" })),
    ] {
        let (status, answer) = scene.post(what, body).await;
        assert_eq!(status, 200, "{what}: {answer}");
    }
    assert_eq!(scene.shown().await.status.directive, Directive::Wait);
    scene.engine.answer(&owner(), &scene.run.work.to_string(), "they do not").await.unwrap();
    let status = scene.shown().await.status;
    assert_eq!((status.directive, &status.notes[..]), (Directive::Continue, &["they do not".to_owned()][..]));
    let (status, answer) = scene.post("fail", json!({ "message": "the gate is locked" })).await;
    assert_eq!((status, &answer["state"]), (200, &json!("scheduled")));
    let (status, answer) = scene.post("progress", json!({ "text": "still there" })).await;
    assert_eq!((status, &answer["code"]), (409, &json!("stale_fence")));
}

#[tokio::test]
async fn who_is_not_below_the_shim_is_refused_before_it_says_anything_and_is_on_record() {
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let scene = scene_of(above()).await;
    scene.shim.send_replace(Some(held(&child)));
    for bytes in ["", "GET /v1/run HTTP/1.1\r\nhost: agentd\r\n\r\n", "rubbish"] {
        let answer = scene.raw(bytes).await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("you are not of it"), "{bytes:?}: {answer}");
        assert_eq!(trial::recorded(&scene.engine), [format!("run {}: not_of_this_run", scene.id())]);
    }
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(scene.raw("").await.starts_with("HTTP/1.1 401 "), "nor who is below one that ended");
}

#[tokio::test]
async fn another_uid_is_refused() {
    let scene = scene().await;
    let mut door = scene.engine.door(scene.id()).unwrap().what.clone();
    door.uid += 1;
    scene.engine.open_door(door).unwrap();
    assert!(scene.raw("").await.starts_with("HTTP/1.1 401 "));
    assert_eq!(trial::recorded(&scene.engine), [format!("run {}: not_of_this_run", scene.id())]);
}

#[tokio::test]
async fn another_uid_does_not_shut_the_run_out_of_its_own_door() {
    if effective_uid() != 0 {
        return;
    }
    let scene = scene().await;
    for folder in [scene.state.join(""), scene.state.join("r")] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    // It holds more connections than a run has places, and reads nothing of what it is told.
    let holds = "import socket, sys\nheld = []\n\
        for _ in range(200):\n    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); held.append(s)\n\
        print('held', flush=True); sys.stdin.read()";
    let mut child = Command::new("setpriv")
        .args(["--reuid", "4242", "--regid", "4242", "--clear-groups", "/usr/bin/python3", "-c", holds])
        .arg(scene.state.join("r/door/run.sock"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = child.stdout.take().unwrap();
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut line).map(|_| line)
    });
    assert_eq!(line.await.unwrap().unwrap(), "held\n");
    for _ in 0..40 {
        assert_eq!(scene.ask("GET", "/v1/run", "").await.0, 200);
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[tokio::test]
async fn a_connection_outlives_neither_its_shim_nor_its_door() {
    let scene = scene().await;
    let (mut client, driver) = handshake(TokioIo::new(scene.connect().await)).await.unwrap();
    tokio::spawn(driver);
    let request = || Request::get("/v1/run").header("host", "agentd").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(client.send_request(request()).await.unwrap().status().as_u16(), 200);
    scene.engine.close_door(scene.id());
    // Either the answer says so, or the connection is over.
    if let Ok(response) = client.send_request(request()).await {
        assert_eq!(response.status().as_u16(), 409);
    }
    assert!(UnixStream::connect(scene.state.join("r/door/run.sock")).await.is_err());
}

#[tokio::test]
async fn progress_renews_no_lease() {
    let scene = scene().await;
    let before = scene.engine.0.live.get(scene.run.work).unwrap();
    assert_eq!(scene.post("progress", json!({ "text": "counting" })).await.0, 200);
    let after = scene.engine.0.live.get(scene.run.work).unwrap();
    assert_eq!((after.lease_until, after.progress.as_deref()), (before.lease_until, Some("counting")));
    // The lease runs out before anybody wrote that down.
    scene.engine.0.live.ran_out(before.lease_until, 1);
    for (what, body) in [("progress", json!({ "text": "more" })), ("finish", json!({ "result": "38" }))] {
        let (status, answer) = scene.post(what, body).await;
        assert_eq!((status, &answer["code"]), (409, &json!("stale_fence")), "{what}");
    }
    assert_eq!(scene.artefact("a", "late").await.1["code"], "stale_fence");
    assert_eq!(scene.engine.handed_in(&scene.run, &scene.state.join("r")).unwrap().result, None);
}

#[tokio::test]
async fn a_run_that_is_over_hears_so_at_every_route() {
    let scene = scene().await;
    scene.engine.cancel(&owner(), &scene.run.work.to_string(), "enough").await.unwrap();
    for path in WRITTEN.into_iter().filter(|path| *path != "/v1/run/artefact") {
        let body = match path.rsplit('/').next().unwrap() {
            "children" => json!({ "works": [{ "title": "a" }] }),
            "finish" => json!({ "result": "a" }),
            "fail" => json!({ "message": "a" }),
            "reserve" | "cost" => json!({ "tokens": 1 }),
            _ => json!({ "text": "a" }),
        };
        let (status, answer) = scene.ask("POST", path, body.to_string()).await;
        assert_eq!((status, problem(&answer).code), (409, Code::StaleFence), "{path}");
    }
    for path in ["/v1/run", "/v1/run/artefacts"] {
        assert_eq!(problem(&scene.ask("GET", path, "").await.1).code, Code::StaleFence, "{path}");
    }
}

#[tokio::test]
async fn the_run_of_an_agent_that_is_shut_out_is_not_heard() {
    let scene = scene().await;
    scene.engine.revoke_key(&owner(), "fixer", "lost").await.unwrap();
    let (status, answer) = scene.post("note", json!({ "text": "hello" })).await;
    assert_eq!((status, &answer["code"]), (403, &json!("key_revoked")));
}

#[tokio::test]
async fn events_name_the_run_and_its_agent() {
    let scene = scene().await;
    let before = *scene.engine.size().borrow();
    assert_eq!(scene.post("note", json!({ "text": "hello", "key": "k" })).await.0, 200);
    assert_eq!(scene.post("note", json!({ "text": "hello", "key": "k" })).await.0, 200);
    assert_eq!(*scene.engine.size().borrow(), before + 1, "a key counts once");
    let event = scene.engine.0.readers.with(|conn| {
        let sql = "SELECT body FROM events ORDER BY idx DESC LIMIT 1";
        conn.query_row(sql, [], |row| row.get::<_, String>(0)).map_err(Problem::internal)
    });
    let event: Value = serde_json::from_str(&event.unwrap()).unwrap();
    assert_eq!((&event["actor"], &event["run"]), (&json!("agent:fixer"), &json!(scene.id().to_string())), "{event}");
}

#[tokio::test]
async fn nothing_is_approved_here_and_a_slip_finds_its_path() {
    let scene = scene().await;
    for (path, says) in [
        ("/v1/run/approve", "a run cannot approve or decide anything"),
        ("/v1/approvals/7", "a run cannot approve or decide anything"),
        ("/v1/works/w-7/accept", "a run cannot approve or decide anything"),
        ("/v1/claim", "begin with GET /v1/run"),
        ("/v1/runs/w-7kq3x2mbnd5fa6uz.1/complete", "begin with GET /v1/run"),
        ("/v1/run/progres", "did you mean /v1/run/progress?"),
        ("/v1/run/finnish", "did you mean /v1/run/finish?"),
        ("/favicon.ico", "the paths are /v1/health, /v1/run,"),
    ] {
        let (status, answer) = scene.ask("POST", path, "{}").await;
        let problem = problem(&answer);
        assert_eq!((status, problem.code), (404, Code::NotFound), "{path}");
        let text = format!("{} {}", problem.message, problem.hint.unwrap());
        assert!(text.contains(says), "{path}: {text}");
    }
    for path in READ {
        let (status, answer) = scene.ask("POST", path, "{}").await;
        assert_eq!((status, problem(&answer).hint.as_deref()), (405, Some("use GET")), "{path}");
    }
    for path in WRITTEN {
        assert_eq!(scene.ask("GET", path, "").await.0, 405, "{path}");
    }
}

#[tokio::test]
async fn documents_are_read_strictly_and_have_no_fence() {
    let scene = scene().await;
    for (what, body) in [
        ("progress", "{\"text\": \"a\", \"text\": \"b\"}".to_owned()),
        ("progress", json!({ "text": "a", "fence": "1.7" }).to_string()),
        ("progress", json!({ "text": "two\nlines" }).to_string()),
        ("cost", json!({ "tokens": -1 }).to_string()),
        ("cost", json!({ "tokens": 1, "key": "k".repeat(97) }).to_string()),
        ("finish", "nonsense".to_owned()),
        ("fail", json!({ "message": " " }).to_string()),
    ] {
        let (status, answer) = scene.ask("POST", &format!("/v1/run/{what}"), body).await;
        assert_eq!((status, problem(&answer).code), (400, Code::InvalidDocument), "{what}");
    }
    assert_eq!(scene.post("cost", json!({ "tokens": 1, "source": "metered" })).await.0, 403);
}

#[tokio::test]
async fn who_is_slow_or_sends_a_gigabyte_is_cut_off_and_nobody_else() {
    let scene = scene().await;
    let head = "HTTP/1.1\r\nhost: agentd\r\nconnection: close\r\n";
    let gigabyte = scene.raw(&format!("POST /v1/run/finish {head}content-length: 1073741824\r\n\r\n{{")).await;
    assert!(gigabyte.starts_with("HTTP/1.1 413 "), "{gigabyte}");
    let half = format!("POST /v1/run/artefact?name=a {head}content-length: 9\r\n\r\nhalf");
    // Others are served meanwhile.
    let (half, other) = tokio::join!(scene.raw(&half), scene.artefact("b", "whole"));
    assert!(half.starts_with("HTTP/1.1 400 ") && half.contains("did not arrive within"), "{half}");
    assert_eq!(other.0, 200);
    assert_eq!(std::fs::read_dir(scene.state.join("artefacts")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_run_has_so_many_connections_and_no_more() {
    let scene = scene().await;
    let mut open = Vec::new();
    for _ in 0..32 {
        let (mut client, driver) = handshake(TokioIo::new(scene.connect().await)).await.unwrap();
        tokio::spawn(driver);
        let request = Request::get("/v1/health").header("host", "agentd").body(Full::<Bytes>::default()).unwrap();
        assert_eq!(client.send_request(request).await.unwrap().status().as_u16(), 200);
        open.push(client);
    }
    assert_eq!(scene.raw("GET /v1/health HTTP/1.1\r\nhost: a\r\n\r\n").await, "");
    drop(open);
    let served = async {
        while scene.raw("GET /v1/health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.is_empty() {}
    };
    tokio::time::timeout(Duration::from_secs(10), served).await.unwrap();
}

#[tokio::test]
async fn who_comes_before_the_shim_is_known_waits_for_it() {
    let scene = scene().await;
    scene.shim.send_replace(None);
    let later = async {
        tokio::task::yield_now().await;
        scene.shim.send_replace(Some(above()));
    };
    let (status, ()) = tokio::join!(scene.post("progress", json!({ "text": "early" })), later);
    let status: (u16, RunStatus) = (status.0, serde_json::from_value(status.1).unwrap());
    assert_eq!((status.0, status.1.directive), (200, Directive::Continue));
}
