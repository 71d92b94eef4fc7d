//! A stand-in for server-b on a real socket, which answers as it is told and shows what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response, Uri},
};
use futures_util::{StreamExt as _, stream};
use ledger::{Ledger, Location, Options, Owner};
use resilience::Backoff;
use responder_client::{Limits, ResponderClient};
use serde_json::{Value, json};
use server_a::Messenger;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, Lines},
    net::TcpListener,
    sync::{Notify, mpsc, oneshot},
};

/// What the stand-in does with one request. Without a script it answers.
#[derive(Clone)]
pub enum Script {
    /// Answers in one piece.
    Answer(&'static str),
    /// Answers with this JSON.
    Json(&'static str),
    /// Answers with a problem of this status, and says how many seconds to wait.
    Problem(u16, Option<u64>),
    /// Answers with a retryable problem of this status and code.
    Refusal(u16, &'static str),
    /// Answers as soon as it is told to.
    AnswerWhen(Arc<Notify>, &'static str),
    /// Never answers.
    Silence,
    /// Streams these pieces and what follows them.
    Stream(&'static [&'static str], After),
}

/// How a scripted stream goes on after its pieces.
#[derive(Clone, Copy)]
pub enum After {
    /// A proper end.
    Done,
    /// Nothing more comes.
    Silence,
    /// It ends without an end.
    End,
}

/// One request as the stand-in saw it.
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
    /// Resolves when the answer is complete, or the caller has gone.
    pub over: oneshot::Receiver<()>,
}

pub struct StandIn {
    pub url: String,
    pub seen: mpsc::UnboundedReceiver<Seen>,
}

struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    seen: mpsc::UnboundedSender<Seen>,
}

impl StandIn {
    pub async fn new(scripts: impl IntoIterator<Item = Script>) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let scripts = Mutex::new(scripts.into_iter().collect());
        let router = Router::new().fallback(handle).with_state(Arc::new(Shared { scripts, seen: sender }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    /// The paths of the requests that have come and were not looked at.
    pub fn paths(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.seen.try_recv().ok()).map(|seen| seen.path).collect()
    }

    /// The next request. Tests that expect none count them with `try_recv`.
    pub async fn next(&mut self) -> Seen {
        self.seen.recv().await.unwrap()
    }
}

pub fn memory() -> Ledger {
    Ledger::open(&Location::Memory, Options { owner: Owner::ServerA, max_exchanges: 0 }).unwrap()
}

/// How long a messenger waits before it tries again.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// A messenger that makes three attempts without waiting.
pub fn messenger(url: &str, ledger: Ledger) -> Messenger {
    messenger_that_waits(url, ledger, Duration::ZERO)
}

/// A messenger that makes three attempts, and waits this long or half of it before the second.
pub fn messenger_that_waits(url: &str, ledger: Ledger, base: Duration) -> Messenger {
    let limits = Limits { timeout: TIMEOUT, ..Limits::default() };
    let responder = ResponderClient::new(url.parse().unwrap(), None, limits).unwrap();
    let backoff = Backoff { attempts: 3, base, max: base.max(Duration::from_secs(1)) };
    Messenger::new(responder, ledger, backoff)
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let (over, told) = oneshot::channel();
    let over = Over(Some(over));
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let _ = shared.seen.send(Seen { path: uri.path().to_owned(), headers, body, over: told });
    let script = shared.scripts.lock().unwrap().pop_front();
    match (uri.path(), script) {
        ("/process", None) => answer("a language", over),
        ("/stream", None) => pieces(&["a ", "language"], After::Done, over),
        ("/health", None) => whole(
            200,
            json!({"status": "healthy", "server": "Server B (AI Responder)",
            "timestamp": "2026-01-31T12:00:00.000Z", "provider": "mock", "messagesProcessed": 0,
            "ai": {"configured": true, "status": "healthy"}}),
            over,
        ),
        ("/models", None) => {
            whole(200, json!({"provider": "mock", "models": ["mock-model"], "default": "mock-model"}), over)
        }
        ("/config", None) => whole(
            200,
            json!({"provider": "mock", "defaultModel": "mock-model",
            "temperature": 0.7, "maxTokens": 1000}),
            over,
        ),
        (_, Some(Script::Answer(text))) => answer(text, over),
        (_, Some(Script::Json(text))) => whole(200, serde_json::from_str(text).unwrap(), over),
        (_, Some(Script::Problem(status, wait))) => problem(status, wait, over),
        (_, Some(Script::Refusal(status, code))) => {
            whole(status, json!({"detail": "as it was told", "code": code, "retryable": true}), over)
        }
        (_, Some(Script::AnswerWhen(told, text))) => {
            told.notified().await;
            answer(text, over)
        }
        (_, Some(Script::Silence)) => {
            let _over = over;
            std::future::pending().await
        }
        (_, Some(Script::Stream(texts, after))) => pieces(texts, after, over),
        (path, None) => panic!("{path} is not scripted"),
    }
}

struct Over(Option<oneshot::Sender<()>>);

impl Drop for Over {
    fn drop(&mut self) {
        let _ = self.0.take().unwrap().send(());
    }
}

fn whole(status: u16, body: Value, over: Over) -> Response<Body> {
    drop(over);
    Response::builder().status(status).body(Body::from(body.to_string())).unwrap()
}

fn answer(text: &str, over: Over) -> Response<Body> {
    let mut body = end();
    body["status"] = json!("success");
    body["aiResponse"] = json!(text);
    whole(200, body, over)
}

fn problem(status: u16, wait: Option<u64>, over: Over) -> Response<Body> {
    let body = json!({"type": "about:blank", "title": "Scripted", "status": status, "detail": "as it was told",
        "code": format!("scripted_{status}"), "retryable": status != 503});
    let mut response = whole(status, body, over);
    if let Some(seconds) = wait {
        response.headers_mut().insert("retry-after", seconds.into());
    }
    response
}

fn pieces(texts: &[&str], after: After, over: Over) -> Response<Body> {
    let mut chunks: Vec<_> =
        texts.iter().map(|text| format!("data: {}\n\n", json!({"content": text}))).collect();
    if let After::Done = after {
        chunks.push(format!("data: {}\n\ndata: [DONE]\n\n", end()));
    }
    let chunks = stream::iter(chunks).map(Ok::<_, std::io::Error>);
    let body = match after {
        After::Silence => chunks.chain(stream::pending()).boxed(),
        After::Done | After::End => chunks.boxed(),
    };
    Response::new(Body::from_stream(body.map(move |chunk| (chunk, &over).0)))
}

fn end() -> Value {
    json!({"model": "mock-model", "timestamp": "2026-01-31T12:00:00.000Z", "processingTime": 0.25,
        "finishReason": "stop", "usage": {"promptTokens": 12, "completionTokens": 30, "totalTokens": 42,
        "estimatedCost": 0.0000198, "costProvenance": "exact"}})
}

/// Whether a message is of the log or about a change.
pub fn is_news(message: &Value) -> bool {
    let method = message["method"].as_str().unwrap_or_default();
    method == "notifications/message" || method.starts_with("notifications/resources/")
}

/// An MCP client that writes and reads lines.
pub struct Client<R, W> {
    pub lines: Lines<BufReader<R>>,
    pub output: W,
    last_id: u64,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Client<R, W> {
    pub fn new(input: R, output: W) -> Self {
        Self { lines: BufReader::new(input).lines(), output, last_id: 0 }
    }

    pub async fn write(&mut self, message: Value) {
        self.output.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    /// Writes a request and gives its id.
    pub async fn request(&mut self, method: &str, params: Value) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        self.write(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        id
    }

    /// The next line; `None` at the end.
    pub async fn read(&mut self) -> Option<Value> {
        let line = self.lines.next_line().await.unwrap()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    /// The next message that is neither of the log nor about a change.
    pub async fn next_but_news(&mut self) -> Value {
        self.next_that(|message| !is_news(message)).await
    }

    /// Reads up to the first message that is wanted.
    pub async fn next_that(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.read().await.expect("the message comes");
            if wanted(&message) {
                return message;
            }
        }
    }

    /// Reads up to the answer of a request.
    pub async fn answer_to(&mut self, id: u64) -> Value {
        self.next_that(|message| message["id"] == id && message.get("method").is_none()).await
    }

    /// Writes a request and reads up to its answer.
    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params).await;
        self.answer_to(id).await
    }

    /// The result of a tool call in the legacy era.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let mut answer = self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await;
        answer["result"].take()
    }

    pub async fn initialize(&mut self, version: &str) -> Value {
        self.initialize_with(version, json!({})).await
    }

    /// Shakes hands as a client that can do these things.
    pub async fn initialize_with(&mut self, version: &str, capabilities: Value) -> Value {
        let client = json!({"name": "test", "version": "1"});
        let params = json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": client});
        let answer = self.ask("initialize", params).await;
        self.write(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        answer
    }
}
