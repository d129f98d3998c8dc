//! What handlers take from a request: the uid of the connection, the agent behind a token, the run, and the document.

use std::time::Duration;

use agentd_schemas::http::MAX_REQUEST_BYTES;
use agentd_schemas::id::RunId;
use agentd_schemas::problem::{Code, Problem};
use axum::RequestPartsExt;
use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::Door;
use super::answer::Refusal;
use crate::api::document;
use crate::policy::Caller;

/// How long a client may take to send a document.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The uid at the other end of the connection, put there when it was accepted.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct PeerUid(pub(in crate::api) u32);

impl<S: Sync> FromRequestParts<S> for PeerUid {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get().copied().ok_or_else(|| Problem::internal("a connection without a uid").into())
    }
}

/// The agent that a bearer token stands for.
#[derive(Debug)]
pub(in crate::api) struct Agent(pub(in crate::api) Caller);

impl FromRequestParts<Door> for Agent {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Refusal> {
        let PeerUid(uid) = PeerUid::from_request_parts(parts, door).await?;
        let token = token(parts).map_err(|(word, problem)| {
            door.engine.no_bearer(uid, word);
            problem
        });
        Ok(Self(door.engine.bearer(uid, token?)?))
    }
}

/// The token of `authorization: Bearer TOKEN`; the word is read in any case, as RFC 9110 has it. Without one, the word
/// for the record, and the answer.
fn token(parts: &Parts) -> Result<&str, (&'static str, Problem)> {
    let unauthenticated = |word: &'static str, message: &str| {
        let problem = Problem::new(Code::Unauthenticated, message)
            .hint("get a token from POST /v1/token and send it as \"authorization: Bearer TOKEN\"");
        (word, problem)
    };
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value,
        (None, _) => return Err(unauthenticated("no_token", "the request has no authorization header")),
        (Some(_), Some(_)) => {
            return Err(unauthenticated("malformed_token", "the request has two authorization headers"));
        }
    };
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_ascii()),
        _ => Err(unauthenticated("malformed_token", "the authorization header is no bearer token")),
    }
}

/// The run of the path.
#[derive(Debug)]
pub(in crate::api) struct Run(pub(in crate::api) RunId);

impl<S: Sync> FromRequestParts<S> for Run {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let invalid = |message: String| {
            Problem::new(Code::InvalidDocument, message).hint("take the run from the answer of POST /v1/claim")
        };
        let Path(text) = parts.extract::<Path<String>>().await.map_err(|error| invalid(error.body_text()))?;
        Ok(Self(text.parse().map_err(|error: agentd_schemas::id::IdError| invalid(error.to_string()))?))
    }
}

/// The document of the body, read strictly. The content type is not looked at: there is one format.
#[derive(Debug)]
pub(in crate::api) struct Document<T>(pub(in crate::api) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Document<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        Ok(Self(document::read(&bytes(request.into_body()).await?)?))
    }
}

async fn bytes(body: Body) -> Result<axum::body::Bytes, Problem> {
    let too_large = || {
        Problem::new(Code::TooLarge, format!("the request is larger than {MAX_REQUEST_BYTES} bytes"))
            .hint("split it into smaller ones")
    };
    // A length that is announced is refused before it is sent.
    if body.size_hint().lower() > MAX_REQUEST_BYTES as u64 {
        return Err(too_large());
    }
    let limited = Limited::new(body, MAX_REQUEST_BYTES);
    let late = || {
        Problem::new(Code::InvalidDocument, format!("the body did not arrive within {} seconds", BODY_TIME.as_secs()))
    };
    match tokio::time::timeout(BODY_TIME, limited.collect()).await.map_err(|_| late())? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Problem::new(Code::InvalidDocument, format!("the body cannot be read: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Document, Run, token};
    use agentd_schemas::http::{Fenced, MAX_REQUEST_BYTES};
    use agentd_schemas::problem::Code;
    use axum::body::Body;
    use axum::extract::FromRequest;
    use axum::http::Request;

    fn bearer(values: &[&str]) -> Result<String, (&'static str, Code)> {
        let mut request = Request::builder();
        for value in values {
            request = request.header("authorization", *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        token(&parts).map(str::to_owned).map_err(|(word, problem)| (word, problem.code))
    }

    #[test]
    fn a_token_comes_in_one_header_with_the_word_bearer() {
        assert_eq!(bearer(&["Bearer abc"]), Ok("abc".to_owned()));
        assert_eq!(bearer(&["bearer abc"]), Ok("abc".to_owned()));
        assert_eq!(bearer(&[]), Err(("no_token", Code::Unauthenticated)));
        for values in [["abc"].as_slice(), &["Basic abc"], &["Bearerabc"], &["Bearer a", "Bearer b"]] {
            assert_eq!(bearer(values), Err(("malformed_token", Code::Unauthenticated)), "{values:?}");
        }
    }

    async fn read(body: impl Into<Body>) -> Result<Fenced, Code> {
        let request = Request::builder().body(body.into()).unwrap();
        match Document::from_request(request, &()).await {
            Ok(Document(fenced)) => Ok(fenced),
            Err(refusal) => Err(refusal.problem.code),
        }
    }

    #[tokio::test]
    async fn a_body_is_read_strictly() {
        assert_eq!(read(r#"{"fence": "1.7"}"#).await.unwrap().fence.n, 7);
        for text in ["", "fence=1.7", r#"{"fence": "1.7", "force": true}"#, r#"{"fence": "1.7", "fence": "1.8"}"#] {
            assert_eq!(read(text).await.unwrap_err(), Code::InvalidDocument, "{text}");
        }
    }

    #[tokio::test]
    async fn a_body_beyond_the_bound_is_too_large() {
        assert_eq!(read(vec![b' '; MAX_REQUEST_BYTES + 1]).await.unwrap_err(), Code::TooLarge);
    }

    #[tokio::test]
    async fn a_run_is_named_whole() {
        use axum::routing::get;
        use tower_service::Service;
        let mut router = axum::Router::new().route("/{run}", get(async |Run(run): Run| run.to_string()));
        for (path, status) in [("/w-7kq3x2mbnd5fa6uz.1", 200), ("/w-7kq3x2mbnd5fa6uz", 400), ("/w-7kq3.1", 400)] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            assert_eq!(router.call(request).await.unwrap().status().as_u16(), status, "{path}");
        }
    }
}
