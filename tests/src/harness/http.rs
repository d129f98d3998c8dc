//! HTTP/1.1 by hand, so that a test can also write what no client would.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use agentd_schemas::problem::Problem;
use serde::de::DeserializeOwned;

/// For an answer: longer than the longest poll.
const PATIENCE: Duration = Duration::from_secs(90);

/// One request with a body.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `POST`.
    pub method: &'a str,
    /// `/v1/…`.
    pub path: &'a str,
    /// Bearer token.
    pub token: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

impl Request<'_> {
    /// Sends it on a connection of its own.
    pub fn send(&self, socket: &Path) -> Answer {
        let Self { method, path, token, body } = self;
        let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: agentd\r\nconnection: close\r\n{bearer}content-length: {length}\r\n\r\n"
        );
        exchange(socket, &[head.as_bytes(), body].concat())
    }
}

/// Writes bytes as they are and reads the answer to its end.
pub fn exchange(socket: &Path, bytes: &[u8]) -> Answer {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // A server that refuses early closes its end: its answer counts all the same.
    let _ = stream.write_all(bytes);
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received);
    Answer::parse(&received)
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status; 0 when there was no answer.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(received: &[u8]) -> Self {
        let end = received.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else { return Self { status: 0, body: Vec::new() } };
        let head = String::from_utf8_lossy(&received[..end]);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, body: received[end + 4..].to_vec() }
    }

    /// The document of an answer that must be one.
    pub fn read<T: DeserializeOwned>(&self) -> T {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The problem of an answer that must be one.
    pub fn problem(&self) -> Problem {
        assert!(self.status >= 400, "{} {}", self.status, String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }
}
