//! Legacy HTTP+SSE (2024-11-05): the server's messages come as a stream of events, ours go out as POST requests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use http::header::{ACCEPT, CONTENT_TYPE};
use reqwest::Response;
use rmcp::{
    RoleClient,
    model::{
        ClientJsonRpcMessage, ClientNotification, ClientRequest, ErrorCode, ErrorData, RequestId,
        ServerJsonRpcMessage,
    },
    transport::Transport,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    address::without_userinfo,
    events::{Decoder, Event},
    http_client::{Http, MAX_REQUESTS},
    link::LinkError,
    message,
    watched::Ending,
};

const EVENT_STREAM: &str = "text/event-stream";
/// How long the cancellation of a request waits for the server to take the request first.
const REQUEST_FIRST: Duration = Duration::from_secs(1);

/// A connection over HTTP+SSE.
pub(super) struct Sse {
    events: Events,
    post: Arc<Post>,
    /// Answers that we give in the place of the server.
    own: (mpsc::Sender<ServerJsonRpcMessage>, mpsc::Receiver<ServerJsonRpcMessage>),
    /// Ends the requests that are under way.
    closed: CancellationToken,
    broken: Option<String>,
}

struct Post {
    http: Http,
    endpoint: Url,
    places: Semaphore,
    /// Requests that the server has not taken yet.
    untaken: Mutex<HashMap<RequestId, CancellationToken>>,
}

impl Sse {
    /// Opens the stream and waits for the place that messages go to. It must be at the origin of `url`: the credentials go
    /// there too.
    pub(super) async fn open(url: &Url, http: Http, limit: usize) -> Result<Self, LinkError> {
        let url = without_userinfo(url);
        let response = http.send(|client| client.get(url.clone()).header(ACCEPT, EVENT_STREAM)).await?;
        let mut events = Events::new(response, limit)?;
        let endpoint = loop {
            let event = events.next().await?;
            let event =
                event.ok_or_else(|| LinkError::Protocol("the stream ended before it began".into()))?;
            if event.name == "endpoint" {
                break endpoint(&url, &event.data)?;
            }
        };
        let (places, untaken) = (Semaphore::new(MAX_REQUESTS), Mutex::default());
        let post = Arc::new(Post { http, endpoint, places, untaken });
        Ok(Self { events, post, own: mpsc::channel(1), closed: CancellationToken::new(), broken: None })
    }
}

fn endpoint(url: &Url, data: &[u8]) -> Result<Url, LinkError> {
    let place = std::str::from_utf8(data).ok().and_then(|place| url.join(place.trim()).ok());
    let place = place.ok_or_else(|| LinkError::Protocol("the server's endpoint is not a URL".into()))?;
    if place.origin() != url.origin() {
        let reason = "the server wants messages to be sent to another origin, which is not done";
        return Err(LinkError::Protocol(reason.into()));
    }
    Ok(without_userinfo(&place))
}

impl Post {
    /// Sends one message; every answer but 2xx is an error.
    async fn send(&self, message: &ClientJsonRpcMessage) -> Result<(), LinkError> {
        let _place = self.places.acquire().await.map_err(|_| LinkError::Closed)?;
        self.http.send(|client| client.post(self.endpoint.clone()).json(message)).await?;
        Ok(())
    }

    fn untaken(&self) -> std::sync::MutexGuard<'_, HashMap<RequestId, CancellationToken>> {
        self.untaken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that the server has not taken yet, until it is dropped.
struct Untaken(Arc<Post>, RequestId);

impl Untaken {
    fn new(post: &Arc<Post>, id: &RequestId) -> Self {
        post.untaken().insert(id.clone(), CancellationToken::new());
        Self(post.clone(), id.clone())
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        if let Some(token) = self.0.untaken().remove(&self.1) {
            token.cancel();
        }
    }
}

impl Ending for Sse {
    fn reason(&self) -> Option<String> {
        self.broken.clone()
    }
}

impl Transport<RoleClient> for Sse {
    type Error = LinkError;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), LinkError>> + Send + 'static {
        let (post, closed, own) = (self.post.clone(), self.closed.clone(), self.own.0.clone());
        let untaken = match &message {
            ClientJsonRpcMessage::Request(request) => Some(Untaken::new(&post, &request.id)),
            _ => None,
        };
        // Requests overtake each other, but a cancellation that overtakes its request would be lost.
        let request_first = cancelled(&message).and_then(|id| post.untaken().get(id).cloned());
        let sending = async move {
            if let Some(taken) = request_first {
                let _ = tokio::time::timeout(REQUEST_FIRST, taken.cancelled()).await;
            }
            let sent = post.send(&message).await;
            drop(untaken);
            match (sent, refused_discover(&message)) {
                (Err(LinkError::Status { status, .. }), Some(answer)) if is_older_era(status) => {
                    own.send(answer).await.map_err(|_| LinkError::Closed)
                }
                (sent, _) => sent,
            }
        };
        async move { closed.run_until_cancelled_owned(sending).await.unwrap_or(Err(LinkError::Closed)) }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let event = tokio::select! {
                answer = self.own.1.recv() => return answer,
                event = self.events.next() => event,
            };
            match event {
                Ok(Some(event)) if event.name == "message" => {
                    if let Some(message) = message::read(&event.data) {
                        return Some(message);
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => {
                    self.broken = Some(error.to_string());
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the server's stream of events broke");
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), LinkError> {
        self.closed.cancel();
        self.events.close();
        Ok(())
    }
}

impl Drop for Sse {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

fn cancelled(message: &ClientJsonRpcMessage) -> Option<&RequestId> {
    let ClientJsonRpcMessage::Notification(notification) = message else { return None };
    let ClientNotification::CancelledNotification(cancelled) = &notification.notification else {
        return None;
    };
    cancelled.params.request_id.as_ref()
}

/// The answer of a server that refuses the question for its era by status: it does not know the question.
fn refused_discover(message: &ClientJsonRpcMessage) -> Option<ServerJsonRpcMessage> {
    let ClientJsonRpcMessage::Request(request) = message else { return None };
    let ClientRequest::DiscoverRequest(_) = &request.request else { return None };
    let error = ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "server/discover was refused", None);
    Some(ServerJsonRpcMessage::error(error, Some(request.id.clone())))
}

fn is_older_era(status: http::StatusCode) -> bool {
    status.is_client_error() && !matches!(status.as_u16(), 401 | 403 | 429)
}

/// The events of an answer.
struct Events {
    bytes: BoxStream<'static, reqwest::Result<Bytes>>,
    chunk: Bytes,
    decoder: Decoder,
    limit: usize,
}

impl Events {
    fn new(response: Response, limit: usize) -> Result<Self, LinkError> {
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("nothing");
        if !kind.starts_with(EVENT_STREAM) {
            return Err(LinkError::NotMcp(format!("it answers with {kind} instead of a stream of events")));
        }
        let bytes = response.bytes_stream().boxed();
        Ok(Self { bytes, chunk: Bytes::new(), decoder: Decoder::new(limit), limit })
    }

    /// The next event; `None` at the end. May be dropped at any time.
    async fn next(&mut self) -> Result<Option<Event>, LinkError> {
        loop {
            let event = self.decoder.next(&mut self.chunk);
            let event = event.map_err(|_| too_large(self.limit))?;
            if event.is_some() {
                return Ok(event);
            }
            match self.bytes.next().await {
                Some(chunk) => self.chunk = chunk.map_err(|error| LinkError::Http(error.without_url()))?,
                None => return Ok(None),
            }
        }
    }

    fn close(&mut self) {
        self.bytes = futures_util::stream::empty().boxed();
    }
}

fn too_large(limit: usize) -> LinkError {
    LinkError::Protocol(format!("it sent a message of more than {limit} bytes"))
}
