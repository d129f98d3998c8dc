//! The agents' door, and that of a run: HTTP/1.1 with JSON on a unix socket, one connection for each request.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use agentd_schemas::problem::{Code, Problem};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use hyper::http::request::Builder;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::error::said;

/// Bytes of one answer, at most: a claim carries the results of the works before it.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Why a request brought nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Trouble {
    /// The daemon said no.
    Refused(Problem),
    /// Nobody answered; it may or may not have acted.
    Away(String),
    /// Nobody listens at the socket.
    Gone(String),
}

impl Trouble {
    /// Whether this means that the run is not ours any more.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Refused(problem) => !matches!(
                problem.code,
                Code::Unauthenticated
                    | Code::Busy
                    | Code::ReadOnly
                    | Code::DiskFull
                    | Code::Conflict
                    | Code::Stopping
                    | Code::Internal
            ),
            Self::Away(_) | Self::Gone(_) => false,
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(problem) => f.write_str(&problem.message),
            Self::Away(why) | Self::Gone(why) => write!(f, "agentd is not there ({why})"),
        }
    }
}

/// The socket.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    socket: PathBuf,
}

impl Door {
    /// The door at this socket.
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Posts a document; `None` where the answer has no body.
    pub(crate) async fn post<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
        question: &Q,
        patience: Duration,
    ) -> Result<Option<A>, Trouble> {
        let question = serde_json::to_vec(question).map_err(|error| Trouble::Away(error.to_string()))?;
        let request = asked(Method::POST, path).header(CONTENT_TYPE, "application/json");
        let request = match token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        };
        self.ask(request, question.into(), patience).await
    }

    /// Asks for a document.
    pub(crate) async fn get<A: DeserializeOwned>(&self, path: &str, patience: Duration) -> Result<Option<A>, Trouble> {
        self.ask(asked(Method::GET, path), Bytes::new(), patience).await
    }

    /// Posts bytes that are no document.
    pub(crate) async fn send<A: DeserializeOwned>(
        &self,
        path: &str,
        bytes: Bytes,
        patience: Duration,
    ) -> Result<Option<A>, Trouble> {
        let request = asked(Method::POST, path).header(CONTENT_TYPE, "application/octet-stream");
        // No bytes are an artefact too, and say that they are none.
        self.ask(request.header(CONTENT_LENGTH, bytes.len()), bytes, patience).await
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        request: Builder,
        question: Bytes,
        patience: Duration,
    ) -> Result<Option<A>, Trouble> {
        let exchange = tokio::time::timeout(patience, self.exchange(request, question));
        let (status, answer) = exchange.await.map_err(|_| Trouble::Away("no answer in time".to_owned()))??;
        if !status.is_success() {
            return Err(refusal(status, &answer));
        }
        if answer.is_empty() {
            return Ok(None);
        }
        let read = serde_json::from_slice(&answer).map(Some);
        read.map_err(|error| Trouble::Away(format!("its answer is not understood: {error}")))
    }

    async fn exchange(&self, request: Builder, question: Bytes) -> Result<(StatusCode, Bytes), Trouble> {
        let away = |error: hyper::Error| Trouble::Away(error.to_string());
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => Trouble::Gone(said(&error)),
            _ => Trouble::Away(said(&error)),
        })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(away)?;
        // Its errors come back with the request.
        let connection = tokio::spawn(connection);
        let request = request.body(Full::new(question)).map_err(|error| Trouble::Away(error.to_string()))?;
        let answer = sender.send_request(request).await.map_err(away)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| Trouble::Away(error.to_string()))?.to_bytes();
        connection.abort();
        Ok((status, body))
    }
}

fn asked(method: Method, path: &str) -> Builder {
    Request::builder().method(method).uri(path).header(HOST, "agentd")
}

fn refusal(status: StatusCode, answer: &[u8]) -> Trouble {
    match serde_json::from_slice::<Problem>(answer) {
        Ok(problem) => Trouble::Refused(problem),
        Err(_) => Trouble::Away(format!("it answered with status {}", status.as_u16())),
    }
}
