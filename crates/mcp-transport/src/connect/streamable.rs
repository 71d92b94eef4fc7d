//! Streamable HTTP: rmcp's transport on our HTTP client, with what it leaves open closed.
//!
//! rmcp tries to resume a broken stream of events for ever, so the call behind it would never fail; it takes only one of the
//! two ways in which servers say that they have forgotten a session; and it drops errors without an id, though over HTTP it is
//! plain which request they answer.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt as _;
use http::{HeaderName, HeaderValue, StatusCode, header::AUTHORIZATION};
use reqwest::Client;
use rmcp::{
    model::{ClientJsonRpcMessage, RequestId, ServerJsonRpcMessage},
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
    authorizer::{Attempts, Authorization, Failure, NotAuthorized},
    error::refused,
    http_client::{self, MAX_REQUESTS},
    message,
    watched::{End, Ending},
};

/// What TypeScript servers answer to a session that they do not know, with status 400 and without an id.
const NO_VALID_SESSION: i32 = -32_000;

/// What rmcp says of an event that is too large; it has no type of its own outside.
const TOO_LARGE: &str = "exceeded the maximum size";

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
    let authorization = Authorization::new(url, options)?;
    let uri = without_userinfo(url);
    let mut config = StreamableHttpClientTransportConfig::with_uri(uri.as_str())
        .custom_headers(headers.into_iter().filter_map(|(name, value)| Some((name?, value))).collect())
        .max_concurrent_requests(MAX_REQUESTS)
        .max_sse_event_size(options.message_bytes);
    config.retry_config = Arc::new(Resume);
    let requests = Requests { client, authorization, end: end.clone(), listened: Arc::default() };
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
    authorization: Authorization,
    end: End,
    /// A stream of the session was open once: refusing another one means that the session is gone.
    listened: Arc<AtomicBool>,
}

impl Ending for StreamableHttpClientTransport<Requests> {}

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
        let mut attempts = self.authorization.attempts().await?;
        // An answer of ours that met the end of an idle connection would be waited for in vain. Twice, it does no harm.
        let mut again = id.is_none();
        let mut answer = loop {
            let (uri, message, session, key) = (uri.clone(), message.clone(), session.clone(), key.clone());
            let headers = authorized(&headers, &attempts);
            let posted = self
                .client
                .post_message_with_max_sse_event_size(uri, message, session, key, headers, limit)
                .await;
            if matches!(posted, Err(StreamableHttpError::Client(_))) && std::mem::take(&mut again) {
                continue;
            }
            if let Some(answer) = attempts.settle(posted).await {
                break answer;
            }
        };
        if let (Ok(StreamableHttpPostResponse::Sse(stream, _)), Some(id)) = (&mut answer, &id) {
            let events = std::mem::replace(stream, futures_util::stream::empty().boxed());
            *stream = bounded(events, id.clone(), limit);
        }
        match &mut answer {
            Ok(StreamableHttpPostResponse::Json(ServerJsonRpcMessage::Error(error), _))
                if error.id.is_none() =>
            {
                error.id = id;
                if in_session && error.error.code.0 == NO_VALID_SESSION {
                    self.gone("the server has forgotten the session");
                }
            }
            // rmcp starts another session, but nobody knows what has changed in between.
            Err(StreamableHttpError::SessionExpired) => self.gone("the server has forgotten the session"),
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
        let mut attempts = self.authorization.attempts().await?;
        loop {
            let headers = authorized(&headers, &attempts);
            let deleted =
                self.client.delete_session(uri.clone(), session.clone(), key.clone(), headers).await;
            if let Some(outcome) = attempts.settle(deleted).await {
                return outcome;
            }
        }
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
        let mut attempts = self.authorization.attempts().await?;
        let got = loop {
            let (uri, session, key) = (uri.clone(), session.clone(), key.clone());
            let headers = authorized(&headers, &attempts);
            let got = self
                .client
                .get_stream_with_max_sse_event_size(uri, session, last_event.clone(), key, headers, limit)
                .await;
            if let Some(got) = attempts.settle(got).await {
                break got;
            }
        };
        self.end.heard.cancel();
        match got {
            Err(StreamableHttpError::Client(error)) if error.status().is_some_and(is_final) => {
                if in_session && (resumes || self.listened.load(Ordering::Relaxed)) {
                    self.gone("the server has forgotten the session");
                }
                // The error that rmcp does not ask again after.
                Err(StreamableHttpError::ServerDoesNotSupportSse)
            }
            Err(StreamableHttpError::Client(error)) if in_session && error.is_connect() => {
                // It could be heard before. Calls that are under way may still get their answers.
                if self.listened.load(Ordering::Relaxed) {
                    self.gone("the server cannot be reached any more");
                }
                Err(StreamableHttpError::Client(error))
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
    fn gone(&self, reason: &'static str) {
        tracing::debug!(reason, "the session has ended");
        let _ = self.end.reason.set(reason.to_owned()); // there is one already
        self.end.begun.cancel();
    }
}

/// The events of an answer. One that is too large fails its request: rmcp would say only that the stream broke.
fn bounded(events: BoxedSseResponse, id: RequestId, limit: usize) -> BoxedSseResponse {
    let bounded = events.map(move |event| {
        let mut answer = empty(&event);
        match event {
            Err(error) if error.to_string().contains(TOO_LARGE) => {
                let reason = format!("the server's answer has more than {limit} bytes");
                let message = ServerJsonRpcMessage::error(message::unreadable(reason), Some(id.clone()));
                answer.data = serde_json::to_string(&message).ok();
                Ok(answer)
            }
            event => event,
        }
    });
    bounded.boxed()
}

fn empty<T: Default, E>(_: &Result<T, E>) -> T {
    T::default()
}

fn authorized(headers: &Headers, attempts: &Attempts) -> Headers {
    let mut headers = headers.clone();
    headers.extend(attempts.credential().map(|credential| (AUTHORIZATION, credential)));
    headers
}

impl From<NotAuthorized> for StreamableHttpError<reqwest::Error> {
    fn from(error: NotAuthorized) -> Self {
        Self::Io(io::Error::other(error)) // the only kind that holds an error of ours
    }
}

impl Failure for StreamableHttpError<reqwest::Error> {
    fn refused(&self) -> Option<(StatusCode, Option<&str>)> {
        match self {
            Self::AuthRequired(error) => {
                Some((StatusCode::UNAUTHORIZED, Some(&error.www_authenticate_header)))
            }
            Self::InsufficientScope(error) => {
                Some((StatusCode::FORBIDDEN, Some(&error.www_authenticate_header)))
            }
            Self::UnexpectedServerResponse(text) => refused(text).map(|status| (status, None)),
            Self::Client(error) => error.status().map(|status| (status, None)),
            _ => None,
        }
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
