//! Too much, too slowly, or no request at all.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use agentd_tests::harness::scene;
use serde_json::json;

use super::claimed;

#[test]
fn a_slow_client_is_left_behind_and_others_are_served() {
    let (daemon, operator, agent) = scene(&[]);
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
    let (daemon, operator, agent) = scene(&[]);
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
fn who_still_writes_when_it_is_refused_reads_the_reason() {
    let (daemon, _operator, _agent) = scene(&[]);
    let body = vec![b' '; 300 << 10];
    for (path, status) in [("/v1/claim", "401"), ("/v1/nothing", "404")] {
        for _ in 0..20 {
            let mut stream = UnixStream::connect(daemon.agents_socket()).unwrap();
            let length = body.len();
            write!(
                stream,
                "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer x\r\ncontent-length: {length}\r\n\r\n"
            )
            .unwrap();
            stream.write_all(&body).expect("it is read, or dropped, to its end");
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"));
        }
    }
}
