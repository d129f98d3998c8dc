//! Answers and errors as they cross HTTP.

use agentd_schemas::problem::{Code, Problem};
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::api::internal::outside;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What a handler gives back.
pub(in crate::api) type Answer<T> = Result<Json<T>, Refusal>;

/// A document with status 200.
pub(in crate::api) struct Json<T>(pub(in crate::api) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => response(StatusCode::OK, bytes),
            Err(error) => Refusal::from(Problem::internal(error)).into_response(),
        }
    }
}

/// A problem with its status.
#[derive(Debug)]
pub(in crate::api) struct Refusal {
    pub(in crate::api) problem: Box<Problem>,
    pub(in crate::api) status: StatusCode,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let status = StatusCode::from_u16(problem.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { problem: Box::new(outside(problem)), status }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // Strings and a map with text keys: this cannot fail.
        let mut response = response(self.status, serde_json::to_vec(&self.problem).unwrap_or_default());
        if self.problem.code == Code::Unauthenticated {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn response(status: StatusCode, json: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// Status 204: there is nothing to answer. It says the content type all the same, so that no client has to guess.
pub(in crate::api) fn nothing() -> Response {
    response(StatusCode::NO_CONTENT, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::Refusal;
    use agentd_schemas::problem::{Code, Problem};
    use axum::response::IntoResponse;
    use http_body_util::BodyExt;

    #[test]
    fn every_code_has_its_status() {
        for code in Code::ALL {
            let response = Refusal::from(Problem::new(*code, "no")).into_response();
            assert_eq!(response.status().as_u16(), code.http_status(), "{code:?}");
            assert_eq!(response.headers()["content-type"], "application/json");
            assert_eq!(response.headers().contains_key("www-authenticate"), *code == Code::Unauthenticated);
        }
    }

    #[tokio::test]
    async fn an_error_is_a_problem_document() {
        let problem = Problem::new(Code::StaleFence, "the lease is over").hint("claim again").detail("fence", "1.7");
        let response = Refusal::from(problem.clone()).into_response();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(serde_json::from_slice::<Problem>(&body).unwrap(), problem);
    }
}
