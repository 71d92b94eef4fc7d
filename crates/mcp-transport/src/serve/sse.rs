//! HTTP+SSE, the transport of 2024-11-05: a stream that the client reads, and a path that it posts to.

use std::{
    borrow::Cow,
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use auth::Caller;
use axum::{
    Extension,
    body::Body,
    extract::{OriginalUri, State},
    http::{StatusCode, Uri},
    response::{
        IntoResponse as _, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream;
use tokio::sync::mpsc::{self, error::TrySendError};
use url::form_urlencoded;
use uuid::Uuid;

use super::{
    body,
    channel::{Ends, channel},
    decode::Heard as _,
    mount::{Answers, Mount},
    outgoing::Outflow,
    reply::{busy, error_text, full, refuse},
};

/// How often a silent stream shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The open streams.
pub(crate) struct Streams<A: Answers> {
    mount: Arc<Mount<A>>,
    open: Mutex<HashMap<String, Stream<A::Message>>>,
}

struct Stream<M> {
    incoming: mpsc::Sender<Box<M>>,
    owner: Caller,
}

/// A stream that is in the register for as long as its client reads.
struct Reader<A: Answers> {
    streams: Arc<Streams<A>>,
    id: String,
    outflow: Outflow,
}

impl<A: Answers> Streams<A> {
    pub(crate) fn new(mount: Arc<Mount<A>>) -> Self {
        Self { mount, open: Mutex::default() }
    }

    /// Nothing panics while this lock is held, so what it guards is whole.
    fn open(&self) -> MutexGuard<'_, HashMap<String, Stream<A::Message>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a stream (`GET /sse`). Its first event says where to post.
pub(crate) async fn open<A: Answers>(
    State(streams): State<Arc<Streams<A>>>,
    OriginalUri(uri): OriginalUri,
    Extension(owner): Extension<Caller>,
) -> Response {
    let Some(place) = streams.mount.place() else { return full() };
    let id = Uuid::new_v4().simple().to_string();
    let (channel, Ends { incoming, outflow, .. }) = channel();
    streams.open().insert(id.clone(), Stream { incoming, owner });
    let reader = Reader { streams: streams.clone(), id, outflow };

    let mount = streams.mount.clone();
    let lifetime = mount.lifetime.clone();
    lifetime.open.spawn(async move {
        mount.lifetime.cut.run_until_cancelled(A::serve(&mount, channel, owner, place)).await;
    });

    let prefix = uri.path().strip_suffix("sse").unwrap_or("/");
    let endpoint =
        Event::default().event("endpoint").data(format!("{prefix}message?sessionId={}", reader.id));
    let events = stream::unfold((Some(endpoint), reader), |(first, mut reader)| async move {
        let event = match first {
            Some(endpoint) => endpoint,
            None => {
                let text = reader.outflow.next().await?;
                // JSON is UTF-8, and messages are written without line breaks.
                Event::default().event("message").data(std::str::from_utf8(&text).ok()?)
            }
        };
        Some((Ok::<_, Infallible>(event), (None, reader)))
    });
    let alive = KeepAlive::new().interval(KEEP_ALIVE);
    // Proxies that gather a response before they pass it on would never pass this one on.
    ([("x-accel-buffering", "no")], Sse::new(events).keep_alive(alive)).into_response()
}

/// Takes one message for a stream (`POST /message?sessionId=ID`).
pub(crate) async fn message<A: Answers>(
    State(streams): State<Arc<Streams<A>>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    body: Body,
) -> Response {
    let Some(id) = session_id(&uri) else {
        let why = "sessionId is missing: post to the address that GET /sse tells first";
        return refuse(StatusCode::BAD_REQUEST, why);
    };
    let found = streams.open().get(&*id).map(|stream| (stream.incoming.clone(), stream.owner));
    let Some((incoming, owner)) = found else {
        return refuse(StatusCode::NOT_FOUND, "there is no such session: open one with GET /sse");
    };
    if owner != caller {
        let why = "this session belongs to somebody else: send the key that opened it";
        return refuse(StatusCode::FORBIDDEN, why);
    }
    let mount = &streams.mount;
    let body = match body::read(body, mount.max_message, mount.timing.idle, &mount.bodies).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let message = match A::Message::read(body.bytes.clone(), caller) {
        Ok(message) => message,
        Err(refused) => return error_text(StatusCode::BAD_REQUEST, refused),
    };
    match incoming.try_send(Box::new(message)) {
        Ok(()) => (StatusCode::ACCEPTED, "Accepted").into_response(),
        Err(TrySendError::Full(_)) => {
            busy("too many messages wait in this session: read its stream, then try again", "1")
        }
        Err(TrySendError::Closed(_)) => {
            refuse(StatusCode::NOT_FOUND, "the session has ended: open another with GET /sse")
        }
    }
}

/// Which stream a message belongs to.
fn session_id(uri: &Uri) -> Option<Cow<'_, str>> {
    let mut pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.find_map(|(name, value)| (name == "sessionId").then_some(value))
}

impl<A: Answers> Drop for Reader<A> {
    fn drop(&mut self) {
        self.streams.open().remove(&self.id);
    }
}
