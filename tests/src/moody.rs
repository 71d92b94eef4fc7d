//! A server over Streamable HTTP, of the older era and with sessions, whose moods a test chooses. Written by hand, so that it can be
//! wrong.

mod exchange;

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::{
    io::BufReader,
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::{JoinHandle, JoinSet},
};

use exchange::{Request, reply};

/// How a server is disposed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mood {
    /// It does what it should.
    #[default]
    Well,
    /// It reads every request and never answers one.
    Hanging,
    /// It carries out every call and hangs up before it answers.
    HangingUp,
    /// It does so once, and is well then.
    HangingUpOnce,
    /// It carries out every call, and breaks off in the middle of the answer.
    BreakingOff,
}

/// A server with the tools `echo`, which says nothing of itself, `look`, which is read-only, and `put`, which is idempotent.
pub struct Moody {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: Option<Serving>,
}

#[derive(Default)]
struct Shared {
    mood: watch::Sender<Mood>,
    has_no_tools: watch::Sender<bool>,
    /// What `echo` says of itself.
    description: Mutex<String>,
    /// Sessions of an earlier number are forgotten.
    memory: AtomicU64,
    sessions: AtomicU64,
    calls: Mutex<HashMap<String, usize>>,
    unanswered: watch::Sender<usize>,
}

impl Moody {
    /// One that is well, on a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let serving = Some(Serving::start(shared.clone(), listener));
        Ok(Self { address, shared, serving })
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Changes its mood: for requests that come from now on.
    pub fn is(&self, mood: Mood) {
        self.shared.mood.send_replace(mood);
    }

    /// Whether it has no tools from now on, or has them again. It does not tell that they have changed.
    pub fn has_no_tools(&self, has_none: bool) {
        self.shared.has_no_tools.send_replace(has_none);
    }

    /// What `echo` says of itself from now on. It does not tell that this has changed.
    pub fn describes(&self, echo: &str) {
        echo.clone_into(&mut self.shared.description.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Forgets all sessions, as a server does that is started anew.
    pub fn forgets(&self) {
        self.shared.memory.store(self.shared.sessions.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// How many sessions were begun so far.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.shared.sessions.load(Ordering::SeqCst)
    }

    /// How often a tool was carried out.
    #[must_use]
    pub fn calls(&self, tool: &str) -> usize {
        self.shared.calls().get(tool).copied().unwrap_or_default()
    }

    /// Waits until it has let so many requests wait for ever.
    pub async fn wait_for_unanswered(&self, count: usize) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.shared.unanswered.subscribe().wait_for(|unanswered| *unanswered >= count).await;
    }

    /// Closes its port and all connections, and returns when they are closed.
    pub async fn leaves(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.leave.notify_one();
            let _ = serving.task.await; // it panics at most, and is away then too
        }
        self.forgets();
    }

    /// Listens again where it did.
    ///
    /// # Errors
    /// When somebody else has its port now.
    pub async fn comes_back(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.serving = Some(Serving::start(self.shared.clone(), listener));
        Ok(())
    }
}

impl Drop for Moody {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.task.abort();
        }
    }
}

/// The task that accepts connections, and how it is told to end.
struct Serving {
    task: JoinHandle<()>,
    leave: Arc<Notify>,
}

impl Serving {
    fn start(shared: Arc<Shared>, listener: TcpListener) -> Self {
        let leave = Arc::new(Notify::new());
        let told = leave.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            tokio::select! {
                () = accept(&shared, &listener, &mut connections) => {}
                () = told.notified() => {}
            }
            drop(listener);
            connections.shutdown().await;
        });
        Self { task, leave }
    }
}

async fn accept(shared: &Arc<Shared>, listener: &TcpListener, connections: &mut JoinSet<()>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        // A client that hangs up is none of this server's failures.
        connections.spawn(async move { drop(shared.converse(stream).await) });
        while connections.try_join_next().is_some() {}
    }
}

impl Shared {
    async fn converse(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        while let Some(request) = Request::read(&mut stream).await? {
            let mood = *self.mood.borrow();
            if mood == Mood::Hanging {
                self.unanswered.send_modify(|unanswered| *unanswered += 1);
                return Request::read(&mut stream).await.map(drop); // the client's patience ends first
            }
            let response = self.answer(&request);
            if request.message["method"] != "tools/call" || mood == Mood::Well {
                reply(&mut stream, &response, response.body.len()).await?;
            } else if mood == Mood::BreakingOff {
                return reply(&mut stream, &response, response.body.len() / 2).await;
            } else {
                if mood == Mood::HangingUpOnce {
                    self.mood.send_replace(Mood::Well);
                }
                return Ok(());
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> Response {
        let Request { is_post, session, message } = request;
        let method = message["method"].as_str().unwrap_or_default();
        if !is_post {
            return Response::empty("405 Method Not Allowed");
        }
        if method == "initialize" {
            let session = self.sessions.fetch_add(1, Ordering::SeqCst) + 1;
            let result = json!({
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "moody", "version": "1"},
            });
            return Response { session: Some(session), ..Response::of(message, "result", &result) };
        }
        if method == "server/discover" {
            return Response::of(message, "error", &json!({"code": -32601, "message": "no such method"}));
        }
        if session.is_none_or(|session| session <= self.memory.load(Ordering::SeqCst)) {
            return Response::empty("404 Not Found");
        }
        match method {
            _ if message.get("id").is_none() => Response::empty("202 Accepted"),
            "tools/list" => Response::of(message, "result", &json!({"tools": self.tools()})),
            "tools/call" => Response::of(message, "result", &self.call(&message["params"])),
            "ping" => Response::of(message, "result", &json!({})),
            _ => Response::of(message, "error", &json!({"code": -32601, "message": "no such method"})),
        }
    }

    fn tools(&self) -> Value {
        if *self.has_no_tools.borrow() {
            return json!([]);
        }
        let description = self.description.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let schema = json!({"type": "object", "properties": {"message": {"type": "string"}}});
        json!([
            {"name": "echo", "description": description, "inputSchema": schema},
            {"name": "look", "inputSchema": schema, "annotations": {"readOnlyHint": true}},
            {"name": "put", "inputSchema": schema, "annotations": {"idempotentHint": true}},
        ])
    }

    fn call(&self, params: &Value) -> Value {
        let name = params["name"].as_str().unwrap_or_default();
        *self.calls().entry(name.to_owned()).or_default() += 1;
        let text = format!("{name}: {}", params["arguments"]["message"].as_str().unwrap_or_default());
        json!({"content": [{"type": "text", "text": text}]})
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is answered.
struct Response {
    status: &'static str,
    session: Option<u64>,
    body: String,
}

impl Response {
    fn empty(status: &'static str) -> Self {
        Self { status, session: None, body: String::new() }
    }

    fn of(request: &Value, outcome: &str, value: &Value) -> Self {
        let body = json!({"jsonrpc": "2.0", "id": request["id"], outcome: value}).to_string();
        Self { status: "200 OK", session: None, body }
    }
}
