//! A bridge from Streamable HTTP to a server behind another transport, so that clients that know only the first can test it.
//!
//! It passes messages on as they are, but for their ids. Requests of 2026-07-28 share one connection; those of an older
//! revision go to the connection of their session.

mod session;
mod upstream;

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response, Sse, sse::Event},
    routing::post,
};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::Value;
use tokio::sync::{OnceCell, mpsc};

use session::Session;
pub use upstream::{Target, Upstream};

const SESSION_ID: &str = "mcp-session-id";

/// The bridge to one server.
struct Bridge {
    target: Target,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    /// The connection of requests without a session, opened by the first of them.
    shared: OnceCell<Arc<Session>>,
}

/// The bridge to `target`, at `/mcp`.
pub fn router(target: Target) -> Router {
    let bridge = Arc::new(Bridge { target, sessions: Mutex::default(), shared: OnceCell::new() });
    Router::new().route("/mcp", post(take).get(listen).delete(end)).with_state(bridge)
}

impl Bridge {
    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session that a request names, or the response that it names none.
    fn session(&self, headers: &HeaderMap) -> Result<Arc<Session>, StatusCode> {
        let id = headers.get(SESSION_ID).and_then(|id| id.to_str().ok()).ok_or(StatusCode::BAD_REQUEST)?;
        self.sessions().get(id).cloned().ok_or(StatusCode::NOT_FOUND)
    }

    async fn stateless(&self, message: Value) -> anyhow::Result<Response> {
        let open = async || anyhow::Ok(Session::start(self.target.open().await?));
        let mut answers = self.shared.get_or_try_init(open).await?.ask(message).await?;
        let Some(first) = answers.next().await else { return Ok(StatusCode::BAD_GATEWAY.into_response()) };
        if first.get("method").is_none() {
            return Ok((status_of(&first), Json(first)).into_response());
        }
        Ok(events(stream::iter([first]).chain(answers)))
    }

    async fn initialize(&self, message: Value) -> anyhow::Result<Response> {
        let mut upstream = self.target.open().await?;
        upstream.to_server.send(message).await?;
        let Some(answer) = upstream.from_server.recv().await else {
            return Ok(StatusCode::BAD_GATEWAY.into_response());
        };
        let id = uuid::Uuid::new_v4().to_string();
        self.sessions().insert(id.clone(), Session::start(upstream));
        Ok(([(SESSION_ID, id)], Json(answer)).into_response())
    }
}

async fn take(State(bridge): State<Arc<Bridge>>, headers: HeaderMap, Json(message): Json<Value>) -> Response {
    let is_request = message.get("id").is_some() && message.get("method").is_some();
    let modern = message.pointer("/params/_meta/io.modelcontextprotocol~1protocolVersion").is_some()
        || headers
            .get("mcp-protocol-version")
            .is_some_and(|version| version.as_bytes() >= b"2026-07-28".as_slice());
    let taken = match () {
        () if modern && !is_request => Ok(StatusCode::ACCEPTED.into_response()),
        () if modern => bridge.stateless(message).await,
        () if message["method"] == "initialize" => bridge.initialize(message).await,
        () => match bridge.session(&headers) {
            Err(status) => Ok(status.into_response()),
            Ok(session) if is_request => session.ask(message).await.map(events),
            Ok(session) => session.tell(message).await.map(|()| StatusCode::ACCEPTED.into_response()),
        },
    };
    taken.unwrap_or_else(|error| {
        tracing::warn!(%error, "a message could not be passed on");
        StatusCode::BAD_GATEWAY.into_response()
    })
}

async fn listen(State(bridge): State<Arc<Bridge>>, headers: HeaderMap) -> Response {
    match bridge.session(&headers) {
        Ok(session) => events(receive(session.listen())),
        Err(StatusCode::BAD_REQUEST) => StatusCode::METHOD_NOT_ALLOWED.into_response(), // 2026-07-28 has no such stream
        Err(status) => status.into_response(),
    }
}

async fn end(State(bridge): State<Arc<Bridge>>, headers: HeaderMap) -> StatusCode {
    let id = headers.get(SESSION_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    match bridge.sessions().remove(id) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

/// The status that 2026-07-28 gives an answer over HTTP.
fn status_of(answer: &Value) -> StatusCode {
    match answer["error"]["code"].as_i64() {
        Some(-32_601) => StatusCode::NOT_FOUND,
        Some(-32_022..=-32_020) => StatusCode::BAD_REQUEST,
        Some(-32_602) if says_metadata(answer) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

fn says_metadata(answer: &Value) -> bool {
    answer["error"]["message"].as_str().is_some_and(|message| message.contains("_meta"))
}

fn receive(receiver: mpsc::Receiver<Value>) -> impl Stream<Item = Value> + Send + 'static {
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
}

fn events(messages: impl Stream<Item = Value> + Send + 'static) -> Response {
    let events = messages
        .map(|message| Ok::<_, Infallible>(Event::default().event("message").data(message.to_string())));
    Sse::new(events).into_response()
}
