//! Messages of a gigabyte, announced or streamed: refused at the bound, while others are served and memory stays small.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use agentd_tests::harness::{Agent, Daemon, scene};
use serde_json::json;

use super::claimed;

const MIB: usize = 1 << 20;
/// What a client would send.
const GIGABYTE: usize = 1 << 30;
/// What a daemon may have taken of it: its bound of 16 MiB at most, and what two sockets hold on the way.
const TAKEN: usize = 32 * MIB;
/// How much memory messages that are too large may cost at a time.
const COST: usize = 48 * MIB;

/// The most memory that the daemon ever had resident, in bytes.
fn peak(daemon: &Daemon) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Writes a gigabyte of spaces in pieces, until the daemon takes no more; how much it took.
fn flood(stream: &mut UnixStream, head: &[u8], tail: &[u8]) -> usize {
    let piece = [head, &vec![b' '; MIB], tail].concat();
    let mut taken = 0;
    while taken < GIGABYTE && stream.write_all(&piece).is_ok() {
        taken += MIB;
    }
    taken
}

/// What the daemon still said before it closed.
fn last_words(stream: &mut UnixStream) -> String {
    let mut words = Vec::new();
    // A closed connection with unread bytes is reset; what came before that counts.
    let _ = stream.read_to_end(&mut words);
    String::from_utf8_lossy(&words).into_owned()
}

fn post(agent: &Agent, length: &str) -> Vec<u8> {
    let token = &agent.token;
    format!("POST /v1/claim HTTP/1.1\r\nhost: agentd\r\nauthorization: Bearer {token}\r\n{length}\r\n\r\n").into_bytes()
}

/// A connection to the operators' door that has said the words with which D-Bus begins.
fn greeted(daemon: &Daemon) -> UnixStream {
    let mut stream = connect(&daemon.control_socket());
    let uid = data_encoding::HEXLOWER.encode(rustix::process::geteuid().as_raw().to_string().as_bytes());
    stream.write_all(format!("\0AUTH EXTERNAL {uid}\r\n").as_bytes()).unwrap();
    let mut answer = [0; 256];
    let count = stream.read(&mut answer).unwrap();
    assert!(answer[..count].starts_with(b"OK "), "{}", String::from_utf8_lossy(&answer[..count]));
    stream.write_all(b"BEGIN\r\n").unwrap();
    stream
}

/// The first bytes of a call whose body has this many bytes.
fn call(body: usize) -> Vec<u8> {
    let mut header = vec![b'l', 1, 0, 1];
    for number in [u32::try_from(body).unwrap(), 1, 0] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    header
}

#[test]
fn a_gigabyte_at_the_agents_door_is_refused_at_the_bound() {
    let (daemon, operator, agent) = scene(&[]);
    let before = peak(&daemon);
    let mut announced = connect(&daemon.agents_socket());
    announced.write_all(&post(&agent, &format!("content-length: {GIGABYTE}"))).unwrap();
    assert!(last_words(&mut announced).starts_with("HTTP/1.1 413"), "a length is refused before it is sent");

    let mut sent = connect(&daemon.agents_socket());
    sent.write_all(&post(&agent, &format!("content-length: {GIGABYTE}"))).unwrap();
    assert!(flood(&mut sent, b"", b"") <= TAKEN, "what was refused is not read");

    let mut streams: Vec<UnixStream> = (0..4)
        .map(|_| {
            let mut stream = connect(&daemon.agents_socket());
            stream.write_all(&post(&agent, "transfer-encoding: chunked")).unwrap();
            stream
        })
        .collect();
    for stream in &mut streams {
        let taken = flood(stream, b"100000\r\n", b"\r\n");
        assert!((MIB..=TAKEN).contains(&taken), "{taken} bytes of a body without a length were taken");
        let words = last_words(stream);
        assert!(words.is_empty() || words.starts_with("HTTP/1.1 413"), "{words}");
        // Others are served meanwhile.
        agent.complete(&claimed(&operator, &agent), "r");
    }
    assert!(peak(&daemon) - before < COST, "{} bytes, {before} before", peak(&daemon));
}

#[test]
fn a_gigabyte_at_the_operators_door_ends_its_connection_and_no_other() {
    let (daemon, operator, agent) = scene(&[]);
    let before = peak(&daemon);
    // Beyond what D-Bus allows, just below it, and beyond our own bound: by their announcement alone, all at once.
    let mut announced: Vec<UnixStream> = [GIGABYTE, 127 * MIB, 127 * MIB, 127 * MIB, 17 * MIB]
        .into_iter()
        .map(|body| {
            let mut stream = greeted(&daemon);
            stream.write_all(&call(body)).unwrap();
            stream
        })
        .collect();
    for stream in &mut announced {
        assert_eq!(last_words(stream), "", "D-Bus has no answer to half a message: the connection ends");
    }
    for body in [GIGABYTE, 127 * MIB] {
        let mut stream = greeted(&daemon);
        stream.write_all(&call(body)).unwrap();
        assert!(flood(&mut stream, b"", b"") <= TAKEN, "what was refused is not read");
        agent.complete(&claimed(&operator, &agent), "r");
    }
    assert!(peak(&daemon) - before < COST, "{} bytes, {before} before", peak(&daemon));
    let most = json!({"title": "x", "instructions": "y".repeat(MIB - 100)});
    operator.submit(&most);
}
