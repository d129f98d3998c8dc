//! What a run hands in: artefacts, and its result.

use std::os::unix::fs::PermissionsExt as _;

use agentd_schemas::http::MAX_RESULT_BYTES;
use agentd_schemas::http::run::{MAX_ARTEFACT_BYTES, MAX_ARTEFACTS};
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::scene;
use crate::domain::command::RunRef;

#[tokio::test]
async fn artefacts_are_kept_by_their_digest_and_replaced_until_the_result_is_there() {
    let scene = scene().await;
    let (status, first) = scene.artefact("logs/build.txt", "one").await;
    assert_eq!((status, &first["name"], &first["bytes"]), (200, &json!("logs/build.txt"), &json!(3)));
    let kept = scene.state.join("artefacts").join(first["sha256"].as_str().unwrap());
    assert_eq!(std::fs::read(&kept).unwrap(), b"one");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(scene.artefact("logs/build.txt", "one").await, (200, first.clone()));
    let (_, second) = scene.artefact("logs/build.txt", "two").await;
    assert_eq!(scene.artefact("empty", "").await.0, 200);
    let list = |answer: (u16, Bytes)| serde_json::from_slice::<Value>(&answer.1).unwrap()["artefacts"].clone();
    let before = list(scene.ask("GET", "/v1/run/artefacts", "").await);
    assert_eq!((before.as_array().unwrap().len(), &before[0]), (2, &second));

    assert_eq!(scene.post("finish", json!({ "result": "38" })).await.0, 200);
    assert_eq!(scene.artefact("logs/build.txt", "two").await.0, 200);
    for name in ["logs/build.txt", "another"] {
        assert_eq!(scene.artefact(name, "three").await.1["code"], "wrong_state");
    }
    // Opened again, as after a restart, all of it is there.
    scene.open();
    assert_eq!(list(scene.ask("GET", "/v1/run/artefacts", "").await), before);
    assert!(scene.shown().await.finished);
}

#[tokio::test]
async fn a_name_leads_nowhere_else() {
    let scene = scene().await;
    for name in ["../x", "%2e%2e%2fx", "/etc/passwd", "a/../../b", "agentd/changes.diff", "a%00b", "", &"x".repeat(201)]
    {
        let (status, answer) = scene.artefact(name, "bytes").await;
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_document")), "{name}");
    }
    for query in ["", "?nom=a", "?name=a&name=b"] {
        let (status, _) = scene.ask("POST", &format!("/v1/run/artefact{query}"), "bytes").await;
        assert_eq!(status, 400, "{query}");
    }
    assert!(std::fs::read_dir(scene.state.join("artefacts")).unwrap().next().is_none());
}

#[tokio::test]
async fn an_artefact_has_a_length_and_a_bound_and_leaves_nothing_when_it_is_refused() {
    let scene = scene().await;
    let post = |length: &str, body: &str| {
        format!("POST /v1/run/artefact?name=a HTTP/1.1\r\nhost: agentd\r\nconnection: close\r\n{length}\r\n{body}")
    };
    let gigabyte = format!("content-length: {}\r\n", 1_u64 << 30);
    for (request, status) in [
        (post("", ""), "400"),
        (post("transfer-encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n"), "400"),
        (post(&gigabyte, "a"), "413"),
        (post(&format!("content-length: {}\r\n", MAX_ARTEFACT_BYTES + 1), "a"), "413"),
    ] {
        let answer = scene.raw(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    // Who goes in the middle leaves nothing, neither bytes nor a place.
    for _ in 0..=MAX_ARTEFACTS {
        let mut stream = scene.connect().await;
        stream.write_all(post("content-length: 9\r\n", "half").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    assert!(std::fs::read_dir(scene.state.join("artefacts")).unwrap().next().is_none());
    for at in 0..MAX_ARTEFACTS {
        assert_eq!(scene.artefact(&format!("a{at}"), at.to_string()).await.0, 200);
    }
    assert_eq!(scene.artefact("one-more", "x").await.1["code"], "out_of_bounds");
    assert_eq!(scene.artefact("a0", "0").await.0, 200, "the same again is no other");
    assert_eq!(scene.artefact("a0", "1").await.1["code"], "out_of_bounds");
}

#[tokio::test]
async fn a_result_is_handed_in_once_and_is_there_after_a_restart() {
    let scene = scene().await;
    let folder = scene.state.join("r");
    let large = "x".repeat(MAX_RESULT_BYTES + 1);
    assert_eq!(scene.post("finish", json!({ "result": large })).await.1["code"], "too_large");
    let (status, answer) = scene.post("finish", json!({ "result": "38 \u{0}\n" })).await;
    assert_eq!((status, &answer["bytes"]), (200, &json!(5)));
    assert_eq!(scene.post("finish", json!({ "result": "38 \u{0}\n" })).await, (200, answer));
    assert_eq!(scene.post("finish", json!({ "result": "39" })).await.1["code"], "wrong_state");
    let handed = || scene.engine.handed_in(&scene.run, &folder).unwrap().result;
    assert_eq!(handed().as_deref(), Some("38 \u{0}\n"));
    scene.engine.close_door(scene.id());
    assert_eq!(handed().as_deref(), Some("38 \u{0}\n"), "from its file");
    // An attempt of the same number under another fence has handed in nothing.
    let fence = agentd_schemas::id::Fence { n: scene.run.fence.n + 1, ..scene.run.fence };
    assert_eq!(scene.engine.handed_in(&RunRef { fence, ..scene.run }, &folder).unwrap().result, None);
}
