//! Streamable HTTP: rmcp's transport on our HTTP client, with what it leaves open closed.
//!
//! rmcp tries to resume a broken stream of events for ever, so the call behind it would never fail; it takes only one of the
//! two ways in which servers say that they have forgotten a session; and it drops errors without an id, though over HTTP it is
//! plain which request they answer.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderName, HeaderValue, StatusCode};
use reqwest::Client;
use rmcp::{
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::{
        StreamableHttpClientTransport,
        common::client_side_sse::{BoxedSseResponse, SseRetryPolicy},
        streamable_http_client::{
            StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
            StreamableHttpPostResponse,
        },
    },
};
use url::Url;

use super::{
    ConnectError, ConnectOptions,
    address::without_userinfo,
    http_client::{self, MAX_REQUESTS},
    watched::End,
};

/// What TypeScript servers answer to a session that they do not know, with status 400 and without an id.
const NO_VALID_SESSION: i32 = -32_000;

type Headers = HashMap<HeaderName, HeaderValue>;
type Outcome<T> = Result<T, StreamableHttpError<reqwest::Error>>;

/// The transport of Streamable HTTP to this URL. A session that the server forgets is an `end`.
pub(super) fn open(
    url: &Url,
    options: &ConnectOptions,
    end: &End,
) -> Result<StreamableHttpClientTransport<Requests>, ConnectError> {
    let headers = http_client::headers(url, options)?;
    let client = http_client::client(url, options)?;
    let uri = without_userinfo(url);
    let mut config = StreamableHttpClientTransportConfig::with_uri(uri.as_str())
        .custom_headers(headers.into_iter().filter_map(|(name, value)| Some((name?, value))).collect())
        .max_concurrent_requests(MAX_REQUESTS)
        .max_sse_event_size(options.message_bytes);
    config.retry_config = Arc::new(Resume);
    let requests = Requests { client, end: end.clone(), listened: Arc::default() };
    Ok(StreamableHttpClientTransport::with_client(requests, config))
}

/// A broken stream is resumed within about eight seconds, or its call fails.
#[derive(Debug)]
struct Resume;

impl SseRetryPolicy for Resume {
    fn retry(&self, times: usize) -> Option<Duration> {
        (times < 5).then(|| Duration::from_millis(250 << times))
    }
}

/// The HTTP requests of one connection.
#[derive(Clone)]
pub(super) struct Requests {
    client: Client,
    end: End,
    /// A stream of the session was open once: refusing another one means that the session is gone.
    listened: Arc<AtomicBool>,
}

impl StreamableHttpClient for Requests {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        key: Option<String>,
        headers: Headers,
    ) -> Outcome<StreamableHttpPostResponse> {
        self.post_message_with_max_sse_event_size(uri, message, session, key, headers, usize::MAX).await
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        key: Option<String>,
        headers: Headers,
        limit: usize,
    ) -> Outcome<StreamableHttpPostResponse> {
        let id = match &message {
            ClientJsonRpcMessage::Request(request) => Some(request.id.clone()),
            _ => None,
        };
        let in_session = session.is_some();
        let posted =
            self.client.post_message_with_max_sse_event_size(uri, message, session, key, headers, limit);
        let mut answer = posted.await;
        match &mut answer {
            Ok(StreamableHttpPostResponse::Json(ServerJsonRpcMessage::Error(error), _))
                if error.id.is_none() =>
            {
                error.id = id;
                if in_session && error.error.code.0 == NO_VALID_SESSION {
                    self.forgotten();
                }
            }
            // rmcp starts another session, but nobody knows what has changed in between.
            Err(StreamableHttpError::SessionExpired) => self.forgotten(),
            _ => {}
        }
        answer
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        key: Option<String>,
        headers: Headers,
    ) -> Outcome<()> {
        self.client.delete_session(uri, session, key, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        key: Option<String>,
        headers: Headers,
    ) -> Outcome<BoxedSseResponse> {
        let limit = usize::MAX;
        self.get_stream_with_max_sse_event_size(uri, session, last_event, key, headers, limit).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        key: Option<String>,
        headers: Headers,
        limit: usize,
    ) -> Outcome<BoxedSseResponse> {
        let in_session = session.is_some();
        let resumes = last_event.is_some();
        let got = self
            .client
            .get_stream_with_max_sse_event_size(uri, session, last_event, key, headers, limit)
            .await;
        match got {
            Err(StreamableHttpError::Client(error)) if error.status().is_some_and(is_final) => {
                if in_session && (resumes || self.listened.load(Ordering::Relaxed)) {
                    self.forgotten();
                }
                // The error that rmcp does not ask again after.
                Err(StreamableHttpError::ServerDoesNotSupportSse)
            }
            Ok(stream) => {
                self.listened.fetch_or(in_session, Ordering::Relaxed);
                Ok(stream)
            }
            error => error,
        }
    }
}

impl Requests {
    fn forgotten(&self) {
        tracing::debug!("the server has forgotten the session");
        self.end.begun.cancel();
    }
}

fn is_final(status: StatusCode) -> bool {
    status.is_client_error() && !matches!(status.as_u16(), 401 | 403 | 408 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_not_resumed_for_ever() {
        let waits: Vec<_> = (0..).map_while(|times| Resume.retry(times)).collect();
        assert_eq!(waits.iter().sum::<Duration>(), Duration::from_millis(7_750));
    }
}
