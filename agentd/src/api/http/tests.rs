//! The door as a client sees it, over a socket pair and in front of a real engine.

use agentd_schemas::http::Health;
use agentd_schemas::problem::{Code, Problem};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::nearest::{PATHS, RUN_ROUTES};
use super::serve::connection;
use super::{Door, router};
use crate::engine::{Engine, trial};
use crate::sys::scratch::Scratch;

struct Served {
    client: SendRequest<Full<Bytes>>,
    engine: Engine,
    stop: watch::Sender<bool>,
    _state: Scratch,
}

async fn serve() -> Served {
    let (engine, state) = trial::engine().await;
    let (stop, stopped) = watch::channel(false);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let router = router(Door { engine: engine.clone(), stop: stopped.clone() });
    let uid = super::request::PeerUid(crate::sys::process::effective_uid());
    tokio::spawn(connection(ours, uid, router, stopped));
    let (client, driver) = handshake(TokioIo::new(theirs)).await.unwrap();
    tokio::spawn(driver);
    Served { client, engine, stop, _state: state }
}

impl Served {
    async fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Bytes) {
        let mut request = Request::builder().method(method).uri(path).header("host", "agentd");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.ready().await.unwrap();
        let request = request.body(Full::from(body.to_owned())).unwrap();
        let response: Response<_> = self.client.send_request(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/json", "{method} {path}");
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    }

    async fn refused(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Problem) {
        let (status, body) = self.ask(method, path, headers, body).await;
        (status, serde_json::from_slice(&body).unwrap())
    }
}

#[tokio::test]
async fn health_needs_no_token() {
    let mut served = serve().await;
    let (status, body) = served.ask("GET", "/v1/health", &[], "").await;
    let health: Health = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, 200);
    assert!(health.origin.contains(&health.trust_domain), "{health:?}");
}

#[tokio::test]
async fn every_other_route_answers_and_asks_who_is_there_first() {
    let mut served = serve().await;
    let runs = RUN_ROUTES.iter().map(|route| format!("/v1/runs/w-7kq3x2mbnd5fa6uz.1/{route}"));
    for path in runs.chain(["/v1/claim".to_owned()]) {
        let (status, problem) = served.refused("POST", &path, &[], "nonsense").await;
        assert_eq!((status, problem.code), (401, Code::Unauthenticated), "{path}");
        let stale = [("authorization", "Bearer nobodys")];
        let (status, problem) = served.refused("POST", &path, &stale, "nonsense").await;
        assert_eq!((status, problem.code), (401, Code::Unauthenticated), "{path}");
    }
    for path in ["/v1/challenge", "/v1/token"] {
        let (status, problem) = served.refused("POST", path, &[], "nonsense").await;
        assert_eq!((status, problem.code), (400, Code::InvalidDocument), "{path}");
    }
}

#[tokio::test]
async fn a_path_that_is_not_there_is_404_and_a_method_that_does_not_fit_405() {
    let mut served = serve().await;
    for path in ["/", "/v1/claims", "/v1/runs/w-7kq3x2mbnd5fa6uz.1/stop", "/v1/runs/w-7kq3x2mbnd5fa6uz.1"] {
        let (status, problem) = served.refused("POST", path, &[], "").await;
        assert_eq!((status, problem.code), (404, Code::NotFound), "{path}");
    }
    for path in PATHS {
        let method = if path == "/v1/health" { "DELETE" } else { "GET" };
        assert_eq!(served.refused(method, path, &[], "").await.0, 405, "{path}");
    }
    assert_eq!(served.refused("GET", "/v1/runs/w-7kq3x2mbnd5fa6uz.1/start", &[], "").await.0, 405);
}

#[tokio::test]
async fn an_idle_connection_ends_with_the_daemon() {
    let mut served = serve().await;
    served.ask("GET", "/v1/health", &[], "").await;
    served.stop.send_replace(true);
    while served.client.ready().await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(served.client.is_closed());
}

#[tokio::test]
async fn a_request_without_a_usable_token_is_on_record() {
    let mut served = serve().await;
    for (headers, word) in [([].as_slice(), "no_token"), (&[("authorization", "Basic abc")], "malformed_token")] {
        assert_eq!(served.refused("POST", "/v1/claim", headers, "{}").await.0, 401);
        assert_eq!(trial::recorded(&served.engine), [format!("bearer: {word}")]);
    }
    // Every token is unknown after a restart: that is no attempt of anybody.
    let unknown = served.refused("POST", "/v1/claim", &[("authorization", "Bearer nobodys")], "{}").await;
    assert_eq!((unknown.0, trial::recorded(&served.engine)), (401, Vec::new()));
}
