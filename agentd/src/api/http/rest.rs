//! What is left of a request's body when its answer is there. A client that still writes while the connection closes never
//! reads the answer: it gets a broken pipe instead of the reason. So the rest is read and dropped, within bounds.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use agentd_schemas::http::MAX_REQUEST_BYTES;
use axum::body::{Bytes, HttpBody};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};

/// How long the rest may take.
const REST_TIME: Duration = Duration::from_secs(2);

/// A body that two hold: the handler, and who reads what the handler left.
#[derive(Clone)]
pub(in crate::api) struct Shared(Arc<Mutex<Incoming>>);

impl Shared {
    pub(in crate::api) fn new(body: Incoming) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Incoming) -> T) -> T {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads and drops what is left, unless that is more than any request may have.
    pub(in crate::api) async fn drop_rest(mut self) {
        if self.is_end_stream() || self.size_hint().lower() > MAX_REQUEST_BYTES as u64 {
            return;
        }
        let rest = async {
            let mut left = MAX_REQUEST_BYTES;
            while let Some(Ok(frame)) = self.frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                let Some(less) = left.checked_sub(length) else { break };
                left = less;
            }
        };
        // Who is slower than this is not waited for.
        let _ = tokio::time::timeout(REST_TIME, rest).await;
    }
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.with(|body| Pin::new(body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}
