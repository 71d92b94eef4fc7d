//! A session of the older era: one connection, and the responses that wait for its messages.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::upstream::Upstream;

const CAPACITY: usize = 256;

/// A session; dropping it closes its connection.
pub(super) struct Session {
    to_server: mpsc::Sender<Value>,
    waiting: Arc<Mutex<Waiting>>,
    _sorter: AbortOnDropHandle<()>,
}

/// Who gets which message.
#[derive(Default)]
struct Waiting {
    /// By the id of the request, as JSON.
    responses: HashMap<String, Response>,
    /// Requests in the order in which they came.
    order: Vec<String>,
    listener: Option<mpsc::Sender<Value>>,
}

struct Response {
    stream: mpsc::Sender<Value>,
    progress_token: Option<Value>,
}

impl Session {
    pub(super) fn start(upstream: Upstream) -> Arc<Self> {
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let to_server = upstream.to_server.clone();
        let sorter = tokio::spawn(sort(upstream, waiting.clone()));
        Arc::new(Self { to_server, waiting, _sorter: AbortOnDropHandle::new(sorter) })
    }

    /// Sends a request; what comes back for it ends with its response.
    pub(super) async fn ask(&self, request: Value) -> anyhow::Result<mpsc::Receiver<Value>> {
        let (stream, messages) = mpsc::channel(CAPACITY);
        let id = request["id"].to_string();
        let progress_token = request.pointer("/params/_meta/progressToken").cloned();
        {
            let mut waiting = lock(&self.waiting);
            waiting.responses.insert(id.clone(), Response { stream, progress_token });
            waiting.order.push(id);
        }
        self.to_server.send(request).await?;
        Ok(messages)
    }

    /// Sends what gets no response.
    pub(super) async fn tell(&self, message: Value) -> anyhow::Result<()> {
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
    while let Some(message) = upstream.from_server.recv().await {
        let receiver = lock(&waiting).receiver(&message);
        if let Some(receiver) = receiver {
            let _ = receiver.send(message).await; // the client may have hung up
        }
    }
}

impl Waiting {
    fn receiver(&mut self, message: &Value) -> Option<mpsc::Sender<Value>> {
        if message.get("method").is_none() {
            let id = message["id"].to_string();
            self.order.retain(|known| *known != id);
            return self.responses.remove(&id).map(|response| response.stream);
        }
        if let Some(token) = message.pointer("/params/progressToken") {
            let matching =
                self.responses.values().find(|response| response.progress_token.as_ref() == Some(token));
            return matching.map(|response| response.stream.clone());
        }
        let changed = message["method"]
            .as_str()
            .is_some_and(|method| method.ends_with("changed") || method.ends_with("updated"));
        let latest = self.order.last().and_then(|id| self.responses.get(id)).filter(|_| !changed);
        latest.map(|response| response.stream.clone()).or_else(|| self.listener.clone())
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
