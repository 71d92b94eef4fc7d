//! HTTP+SSE, the transport of 2024-11-05: a stream that the client reads, and a path that it posts to.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    body::Bytes,
    extract::{OriginalUri, Query, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse as _, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream;
use rmcp::{
    ServerHandler,
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
};
use serde::Deserialize;
use tokio::sync::mpsc::{self, error::TrySendError};
use uuid::Uuid;

use super::{
    access::Credentials,
    channel::{Ends, channel},
    decode::{decode, too_large},
    mount::Mount,
    reply::{error, refuse},
    session::{InputEnd, serve_session},
};

/// How often a silent stream shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The open streams.
pub(crate) struct Streams<H> {
    mount: Arc<Mount<H>>,
    open: Mutex<HashMap<String, Stream>>,
}

struct Stream {
    incoming: mpsc::Sender<ClientJsonRpcMessage>,
    owner: Credentials,
}

/// Which stream a message belongs to.
#[derive(Deserialize)]
pub(crate) struct Addressed {
    #[serde(rename = "sessionId")]
    session_id: Option<String>,
}

/// A stream that is in the register for as long as its client reads.
struct Reader<H: ServerHandler> {
    streams: Arc<Streams<H>>,
    id: String,
    outgoing: mpsc::Receiver<ServerJsonRpcMessage>,
}

impl<H> Streams<H> {
    pub(crate) fn new(mount: Arc<Mount<H>>) -> Self {
        Self { mount, open: Mutex::default() }
    }

    /// Nothing panics while this lock is held, so what it guards is whole.
    fn open(&self) -> MutexGuard<'_, HashMap<String, Stream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a stream (`GET /sse`). Its first event says where to post.
pub(crate) async fn open<H: ServerHandler>(
    State(streams): State<Arc<Streams<H>>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let Some(place) = streams.mount.place() else {
        let refused = refuse(StatusCode::SERVICE_UNAVAILABLE, "too many sessions are open: try again later");
        return ([(header::RETRY_AFTER, "5")], refused).into_response();
    };
    let id = Uuid::new_v4().simple().to_string();
    let (channel, Ends { incoming, outgoing, .. }) = channel();
    streams.open().insert(id.clone(), Stream { incoming, owner: Credentials::of(&headers) });
    let reader = Reader { streams: streams.clone(), id, outgoing };

    let mount = &streams.mount;
    let session = serve_session(mount.handler(), channel, InputEnd::Gone, mount.stopping.clone());
    let cut = mount.cut.clone();
    mount.tasks.spawn(async move {
        if let Some(Err(cause)) = cut.run_until_cancelled(session).await {
            tracing::debug!(error = &cause as &dyn std::error::Error, "a session ended badly");
        }
        drop(place);
    });

    let prefix = uri.path().strip_suffix("sse").unwrap_or("/");
    let endpoint =
        Event::default().event("endpoint").data(format!("{prefix}message?sessionId={}", reader.id));
    let events = stream::unfold((Some(endpoint), reader), |(first, mut reader)| async move {
        let event = match first {
            Some(endpoint) => endpoint,
            None => Event::default().event("message").json_data(reader.outgoing.recv().await?).ok()?,
        };
        Some((Ok::<_, Infallible>(event), (None, reader)))
    });
    let alive = KeepAlive::new().interval(KEEP_ALIVE);
    // Proxies that gather a response before they pass it on would never pass this one on.
    ([("x-accel-buffering", "no")], Sse::new(events).keep_alive(alive)).into_response()
}

/// Takes one message for a stream (`POST /message?sessionId=ID`).
pub(crate) async fn message<H: ServerHandler>(
    State(streams): State<Arc<Streams<H>>>,
    Query(Addressed { session_id }): Query<Addressed>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Some(id) = session_id else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "sessionId is missing: post to the address that GET /sse tells first",
        );
    };
    let found = streams.open().get(&id).map(|stream| (stream.incoming.clone(), stream.owner.clone()));
    let Some((incoming, owner)) = found else {
        return refuse(StatusCode::NOT_FOUND, "there is no such session: open one with GET /sse");
    };
    if owner != Credentials::of(&headers) {
        return refuse(
            StatusCode::FORBIDDEN,
            "this session belongs to somebody else: send the key that opened it",
        );
    }
    let message = match body {
        Ok(body) => decode(&body),
        Err(broken) if broken.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return error(broken.status(), &too_large(streams.mount.max_message));
        }
        Err(_) => return refuse(StatusCode::BAD_REQUEST, "the request broke off"),
    };
    let message = match message {
        Ok(message) => message,
        Err(refused) => return error(StatusCode::BAD_REQUEST, &refused),
    };
    match incoming.try_send(message) {
        Ok(()) => (StatusCode::ACCEPTED, "Accepted").into_response(),
        Err(TrySendError::Full(_)) => {
            let why = "too many messages wait in this session: read its stream, then try again";
            ([(header::RETRY_AFTER, "1")], refuse(StatusCode::SERVICE_UNAVAILABLE, why)).into_response()
        }
        Err(TrySendError::Closed(_)) => {
            refuse(StatusCode::NOT_FOUND, "the session has ended: open another with GET /sse")
        }
    }
}

impl<H: ServerHandler> Drop for Reader<H> {
    fn drop(&mut self) {
        self.streams.open().remove(&self.id);
    }
}
