//! One connection that several requests share, and the responses that wait for its messages.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::Stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::upstream::Upstream;

const CAPACITY: usize = 256;
/// Where a message of 2026-07-28 names the `subscriptions/listen` that it belongs to.
const SUBSCRIPTION: [&str; 2] = [
    "/params/_meta/io.modelcontextprotocol~1subscriptionId",
    "/result/_meta/io.modelcontextprotocol~1subscriptionId",
];
const PROGRESS_REQUEST: &str = "/params/_meta/progressToken";
const PROGRESS: &str = "/params/progressToken";
const CANCELLED: &str = "/params/requestId";

/// A connection; dropping it closes it.
pub(super) struct Session {
    to_server: mpsc::Sender<Value>,
    waiting: Arc<Mutex<Waiting>>,
    _sorter: AbortOnDropHandle<()>,
}

/// Who gets which message. Several clients may use the same ids, so the server sees the keys of this map in their place.
#[derive(Default)]
struct Waiting {
    last_key: u64,
    responses: BTreeMap<u64, Response>,
    listener: Option<mpsc::Sender<Value>>,
}

struct Response {
    stream: mpsc::Sender<Value>,
    id: Value,
    progress_token: Option<Value>,
}

/// What comes back for a request, its response last. Dropping it earlier cancels the request.
pub(super) struct Answers {
    messages: mpsc::Receiver<Value>,
    session: Arc<Session>,
    key: u64,
}

impl Session {
    pub(super) fn start(upstream: Upstream) -> Arc<Self> {
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let to_server = upstream.to_server.clone();
        let sorter = tokio::spawn(sort(upstream, waiting.clone()));
        Arc::new(Self { to_server, waiting, _sorter: AbortOnDropHandle::new(sorter) })
    }

    /// Sends a request.
    pub(super) async fn ask(self: &Arc<Self>, mut request: Value) -> anyhow::Result<Answers> {
        let (stream, messages) = mpsc::channel(CAPACITY);
        let key = lock(&self.waiting).enter(&mut request, stream);
        self.to_server.send(request).await?;
        Ok(Answers { messages, session: self.clone(), key })
    }

    /// Sends what gets no response.
    pub(super) async fn tell(&self, mut message: Value) -> anyhow::Result<()> {
        if message["method"] == "notifications/cancelled"
            && let Some(id) = message.pointer_mut(CANCELLED)
            && let Some(key) = lock(&self.waiting).key_of(id)
        {
            *id = json!(key);
        }
        Ok(self.to_server.send(message).await?)
    }

    /// The messages that belong to no request.
    pub(super) fn listen(&self) -> mpsc::Receiver<Value> {
        let (listener, messages) = mpsc::channel(CAPACITY);
        lock(&self.waiting).listener = Some(listener);
        messages
    }
}

async fn sort(mut upstream: Upstream, waiting: Arc<Mutex<Waiting>>) {
    while let Some(mut message) = upstream.from_server.recv().await {
        let receiver = lock(&waiting).receiver(&mut message);
        if let Some(receiver) = receiver {
            let _ = receiver.send(message).await; // the client may have hung up
        }
    }
}

impl Waiting {
    /// Enters a request under a key, which takes the place of its id and of its progress token.
    fn enter(&mut self, request: &mut Value, stream: mpsc::Sender<Value>) -> u64 {
        self.last_key += 1;
        let key = self.last_key;
        let id = std::mem::replace(&mut request["id"], json!(key));
        let token = request.pointer_mut(PROGRESS_REQUEST);
        let progress_token = token.map(|token| std::mem::replace(token, json!(key)));
        self.responses.insert(key, Response { stream, id, progress_token });
        key
    }

    fn key_of(&self, id: &Value) -> Option<u64> {
        self.responses.iter().find(|(_, response)| response.id == *id).map(|(key, _)| *key)
    }

    /// Who gets `message`, which is given its client's ids back.
    fn receiver(&mut self, message: &mut Value) -> Option<mpsc::Sender<Value>> {
        for place in SUBSCRIPTION {
            if let Some(id) = message.pointer_mut(place) {
                let response = self.responses.get(&id.as_u64()?)?;
                *id = response.id.clone();
                if message.get("method").is_some() {
                    return Some(response.stream.clone());
                }
            }
        }
        if message.get("method").is_none() {
            let Some(key) = message["id"].as_u64() else { return self.latest() }; // an error about no request
            let response = self.responses.remove(&key)?;
            message["id"] = response.id;
            return Some(response.stream);
        }
        if let Some(token) = message.pointer_mut(PROGRESS) {
            let response = self.responses.get(&token.as_u64()?)?;
            *token = response.progress_token.clone()?;
            return Some(response.stream.clone());
        }
        let method = message["method"].as_str().unwrap_or_default();
        let is_change = method.ends_with("changed") || method.ends_with("updated");
        self.latest().filter(|_| !is_change).or_else(|| self.listener.clone())
    }

    /// Other transports do not say which request a message is about: it is taken to be the latest.
    fn latest(&self) -> Option<mpsc::Sender<Value>> {
        self.responses.last_key_value().map(|(_, response)| response.stream.clone())
    }
}

impl Stream for Answers {
    type Item = Value;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Value>> {
        self.messages.poll_recv(context)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if lock(&self.session.waiting).responses.remove(&self.key).is_some() {
            let params = json!({ "requestId": self.key });
            let cancelled =
                json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
            let _ = self.session.to_server.try_send(cancelled); // the connection may have ended
        }
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
