//! A server whose calls a test counts and holds back. It outlives the gateways in front of it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::post,
};
use e2e::programs::PATIENCE;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::task::AbortOnDropHandle;

/// A server of the older era with the tools `add`, which says nothing of itself, `look`, which is read-only, and `put`, which is
/// idempotent.
pub struct Workbench {
    address: SocketAddr,
    shared: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

/// Which call is held back, by its message, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Before it is carried out. If its caller goes away it never is.
    Before(String),
    /// When it was carried out, before it is answered.
    After(String),
}

#[derive(Default)]
struct Shared {
    held: watch::Sender<Option<Held>>,
    /// Calls that wait at present.
    waiting: watch::Sender<usize>,
    cancelled: watch::Sender<usize>,
    /// How often each message was carried out.
    done: Mutex<BTreeMap<String, usize>>,
}

impl Workbench {
    /// One on a free port, that holds nothing back.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let router = Router::new().route("/mcp", post(take)).with_state(shared.clone());
        let serving = tokio::spawn(async move {
            // It is served until the test ends.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, shared, _serving: AbortOnDropHandle::new(serving) })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Holds back calls with a message from now on, or none. Those that wait go on if they are not meant any more.
    pub fn hold(&self, held: Option<Held>) {
        self.shared.held.send_replace(held);
    }

    /// Waits until a call is held back.
    pub async fn holds(&self) -> anyhow::Result<()> {
        self.shared
            .reaches(&self.shared.waiting, "no call came that is held back", |waiting| waiting > 0)
            .await
    }

    /// Waits until whoever made the call that was held back has gone.
    pub async fn is_left(&self) -> anyhow::Result<()> {
        self.shared.reaches(&self.shared.waiting, "the caller waits for ever", |waiting| waiting == 0).await
    }

    /// Waits until a call was told to stop.
    pub async fn is_told_to_stop(&self) -> anyhow::Result<()> {
        self.shared
            .reaches(&self.shared.cancelled, "nobody cancelled the call", |cancelled| cancelled > 0)
            .await
    }

    /// How often each message was carried out since it was asked last.
    pub fn done(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.shared.done())
    }

    /// How often this message was carried out so far.
    pub fn count(&self, message: &str) -> usize {
        self.shared.done().get(message).copied().unwrap_or_default()
    }
}

async fn take(State(shared): State<Arc<Shared>>, Json(message): Json<Value>) -> Response {
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
            "serverInfo": {"name": "workbench", "version": "1"},
        }),
        "tools/list" => tools(),
        "tools/call" => shared.call(&message["params"]["arguments"]).await,
        "ping" => json!({}),
        method => {
            if method == "notifications/cancelled" {
                shared.cancelled.send_modify(|count| *count += 1);
            }
            if message.get("id").is_none() {
                return StatusCode::ACCEPTED.into_response();
            }
            let error = json!({"code": -32601, "message": "no such method"});
            return Json(json!({"jsonrpc": "2.0", "id": message["id"], "error": error})).into_response();
        }
    };
    Json(json!({"jsonrpc": "2.0", "id": message["id"], "result": result})).into_response()
}

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"message": {"type": "string"}}});
    json!({"tools": [
        {"name": "add", "inputSchema": schema},
        {"name": "look", "inputSchema": schema, "annotations": {"readOnlyHint": true}},
        {"name": "put", "inputSchema": schema, "annotations": {"idempotentHint": true}},
    ]})
}

impl Shared {
    async fn call(&self, arguments: &Value) -> Value {
        let message = arguments["message"].as_str().unwrap_or_default();
        self.wait_while(&Held::Before(message.to_owned())).await;
        *self.done().entry(message.to_owned()).or_default() += 1;
        self.wait_while(&Held::After(message.to_owned())).await;
        json!({"content": [{"type": "text", "text": format!("{message}!")}]})
    }

    async fn wait_while(&self, this: &Held) {
        let is_held = |held: &Option<Held>| held.as_ref() == Some(this);
        let mut held = self.held.subscribe();
        if !is_held(&held.borrow_and_update()) {
            return;
        }
        let _waiting = Waiting::new(&self.waiting);
        // The sender lives in `self`, so this cannot fail.
        let _ = held.wait_for(|held| !is_held(held)).await;
    }

    async fn reaches(
        &self,
        count: &watch::Sender<usize>,
        otherwise: &'static str,
        is_so: impl Fn(usize) -> bool,
    ) -> anyhow::Result<()> {
        let mut count = count.subscribe();
        let waiting = count.wait_for(|count| is_so(*count));
        tokio::time::timeout(PATIENCE, waiting).await.context(otherwise)?.map(drop).context(otherwise)
    }

    fn done(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that waits; it ends with its caller.
struct Waiting<'s>(&'s watch::Sender<usize>);

impl<'s> Waiting<'s> {
    fn new(count: &'s watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
