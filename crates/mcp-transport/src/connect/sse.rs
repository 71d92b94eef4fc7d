//! Legacy HTTP+SSE (2024-11-05): the server's messages come as a stream of events, ours go out as POST requests.

use std::{collections::HashMap, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use http::header::{ACCEPT, CONTENT_TYPE};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::{
    address::without_userinfo,
    carrier::Carrier,
    events::{EVENT_STREAM, Events},
    http_client::{Http, MAX_REQUESTS},
    incoming::Incoming,
    link::{Frame, Kind, LinkError, Outbox, Queue},
};

/// How long the cancellation of a request waits for the server to take the request first.
const REQUEST_FIRST: Duration = Duration::from_secs(1);
/// Longest wait until the server has taken a message. Answers come elsewhere.
const TAKEN: Duration = Duration::from_secs(60);
/// The same for a request: some servers take it only when they have answered it.
const REQUEST_TAKEN: Duration = Duration::from_secs(600);

/// A connection over HTTP+SSE.
pub(crate) struct Sse {
    events: Events,
    outbox: Outbox,
    postman: Option<JoinHandle<()>>,
    /// Ends the requests that are under way.
    closed: CancellationToken,
    _closed: DropGuard,
    broken: Option<String>,
}

impl Sse {
    /// Opens the stream and waits for the place that messages go to. It must be at the origin of `url`: the credentials go
    /// there too.
    pub(crate) async fn open(url: &Url, http: Http, limit: usize) -> Result<Self, LinkError> {
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
        let (outbox, queue) = Outbox::new();
        let closed = CancellationToken::new();
        let (postman, stop) = (Postman { http, endpoint }, closed.clone());
        let postman = tokio::spawn(async move {
            stop.run_until_cancelled_owned(postman.run(queue)).await;
        });
        let (postman, guard) = (Some(postman), closed.clone().drop_guard());
        Ok(Self { events, outbox, postman, closed, _closed: guard, broken: None })
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

impl Carrier for Sse {
    fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    async fn next(&mut self) -> Option<Incoming> {
        loop {
            match self.events.next().await {
                Ok(Some(event)) if event.name == "message" => return Some(Incoming::Message(event.data)),
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

    fn reason(&self) -> Option<String> {
        self.broken.clone()
    }

    async fn close(&mut self) {
        self.closed.cancel();
        self.events.close();
        if let Some(postman) = self.postman.take() {
            let _ = postman.await; // it panics never, and is not aborted
        }
    }
}

/// A request that the server has not taken yet.
#[derive(Default)]
struct Untaken {
    taken: CancellationToken,
    /// It was cancelled, and the server knows that.
    given_up: CancellationToken,
}

/// Brings messages to the server, several at the same time.
struct Postman {
    http: Http,
    endpoint: Url,
}

impl Postman {
    async fn run(self, mut queue: Queue) {
        let mut under_way = FuturesUnordered::<BoxFuture<'_, Kind>>::new();
        // Requests that the server has not taken yet.
        let mut untaken = HashMap::<u64, Untaken>::new();
        loop {
            tokio::select! {
                Some(kind) = under_way.next() => match kind {
                    Kind::Request(number) => if let Some(request) = untaken.remove(&number) {
                        request.taken.cancel();
                    },
                    // The server knows that nobody waits for it.
                    Kind::Cancels(number) => if let Some(request) = untaken.get(&number) {
                        request.given_up.cancel();
                    },
                    Kind::Other => {}
                },
                frame = queue.next(), if under_way.len() < MAX_REQUESTS => {
                    let Some(frame) = frame else { return };
                    // Messages overtake each other, but a cancellation that overtakes its request would be lost.
                    match frame.kind {
                        Kind::Request(number) => {
                            let request = Untaken::default();
                            under_way.push(self.bring_request(frame, request.given_up.clone()).boxed());
                            untaken.insert(number, request);
                        }
                        Kind::Cancels(number) => {
                            let first = untaken.get(&number).map(|request| request.taken.clone());
                            under_way.push(self.bring_after(frame, first).boxed());
                        }
                        Kind::Other => under_way.push(self.bring(frame, TAKEN).boxed()),
                    }
                }
            }
        }
    }

    async fn bring_request(&self, frame: Frame, given_up: CancellationToken) -> Kind {
        let kind = frame.kind;
        given_up.run_until_cancelled(self.bring(frame, REQUEST_TAKEN)).await.unwrap_or(kind)
    }

    async fn bring_after(&self, frame: Frame, first: Option<CancellationToken>) -> Kind {
        if let Some(first) = first {
            let _ = timeout(REQUEST_FIRST, first.cancelled()).await; // it is sent anyway
        }
        self.bring(frame, TAKEN).await
    }

    async fn bring(&self, frame: Frame, longest: Duration) -> Kind {
        let kind = frame.kind;
        let json = "application/json";
        let brought = self.http.send(|client| {
            client.post(self.endpoint.clone()).header(CONTENT_TYPE, json).body(frame.text().clone())
        });
        let brought = timeout(longest, brought).await.unwrap_or(Err(LinkError::Stalled));
        frame.settle(brought.map(drop)); // every answer but 2xx is an error
        kind
    }
}
