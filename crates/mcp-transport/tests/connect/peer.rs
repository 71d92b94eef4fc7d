//! The other end of a line: a server that says what the test wants, and whoever hears what comes of it.

use std::sync::Arc;

use async_trait::async_trait;
use json_rpc::{Notification, Outcome, Raw};
use mcp_transport::{
    ClientCard, ConnectError, ConnectOptions, Era, Line, LineHost, Outgoing, Party, dial_streams,
};
use serde_json::{Value, json};
use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf, split,
    },
    sync::{mpsc, oneshot},
};

use crate::support::{era, soon};

pub fn raw(value: &Value) -> Raw {
    Raw::of(value).unwrap()
}

pub fn value(raw: &Raw) -> Value {
    raw.parse().unwrap()
}

pub fn card() -> ClientCard {
    ClientCard {
        info: raw(&json!({"name": "test", "version": "1"})),
        capabilities: raw(&json!({"elicitation": {}})),
    }
}

pub fn outgoing(method: &'static str, params: Value) -> Outgoing {
    Outgoing { method: method.into(), params: Some(raw(&params)), mirrored: Vec::new() }
}

pub fn tool(name: &str) -> Outgoing {
    outgoing("tools/call", json!({"name": name}))
}

/// A server whose every message the test writes and reads.
pub struct Peer {
    input: Lines<BufReader<ReadHalf<DuplexStream>>>,
    output: WriteHalf<DuplexStream>,
}

impl Peer {
    /// What comes next; `None` when the other end is closed.
    pub async fn hear(&mut self) -> Option<Value> {
        let line = soon(self.input.next_line()).await.unwrap()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    /// The next message, which is a request or notification of this method.
    pub async fn expect(&mut self, method: &str) -> Value {
        let message = self.hear().await.unwrap();
        assert_eq!(message["method"], method, "{message}");
        message
    }

    pub async fn say(&mut self, message: Value) {
        self.write(&message.to_string()).await;
    }

    pub async fn write(&mut self, line: &str) {
        self.output.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    pub async fn answer(&mut self, request: &Value, result: Value) {
        self.say(json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).await;
    }

    pub async fn refuse(&mut self, request: &Value, code: i64, data: Value) {
        let error = json!({"code": code, "message": "no", "data": data});
        self.say(json!({"jsonrpc": "2.0", "id": request["id"], "error": error})).await;
    }

    pub async fn tell(&mut self, method: &str, params: Value) {
        self.say(json!({"jsonrpc": "2.0", "method": method, "params": params})).await;
    }

    pub async fn ask(&mut self, id: Value, method: &str) {
        self.say(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"of": "server"}})).await;
    }

    pub async fn progress(&mut self, request: &Value, progress: u64) {
        let token = &request["params"]["_meta"]["progressToken"];
        self.tell("notifications/progress", json!({"progressToken": token, "progress": progress})).await;
    }

    pub async fn discover(&mut self) {
        let request = self.expect("server/discover").await;
        let result = json!({"supportedVersions": ["2026-07-28"], "capabilities": {}, "vendor": 1.50});
        self.answer(&request, result).await;
    }

    pub async fn initialize(&mut self) {
        let request = self.expect("initialize").await;
        self.answer(&request, json!({"protocolVersion": "2025-06-18", "capabilities": {}})).await;
        self.expect("notifications/initialized").await;
    }
}

/// A pair of streams with a peer at the far end.
pub fn pair() -> (DuplexStream, Peer) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let (input, output) = split(far);
    (near, Peer { input: BufReader::new(input).lines(), output })
}

/// A line in this era, and both who is at its far end and who hears what comes outside of requests.
pub async fn line(asked: Era) -> (Line, Peer, Ears) {
    let (near, mut peer) = pair();
    let (host, ears) = Voice::new();
    let options = era(asked);
    let dialling = over(near, Arc::new(host), &options);
    let shaking = async {
        match asked {
            Era::Legacy => peer.initialize().await,
            _ => peer.discover().await,
        }
    };
    let (line, ()) = tokio::join!(dialling, shaking);
    (line.unwrap(), peer, ears)
}

pub async fn over(
    near: DuplexStream,
    host: Arc<dyn LineHost>,
    options: &ConnectOptions,
) -> Result<Line, ConnectError> {
    let (reader, writer) = split(near);
    soon(dial_streams(reader, writer, &card(), host, options)).await
}

/// Tells the test what it hears, and asks it for answers.
pub struct Voice {
    told: mpsc::UnboundedSender<(String, Value)>,
    asked: mpsc::UnboundedSender<Question>,
}

/// What a [`Voice`] was told and asked.
pub struct Ears {
    told: mpsc::UnboundedReceiver<(String, Value)>,
    asked: mpsc::UnboundedReceiver<Question>,
}

/// A question that waits for the test.
pub struct Question {
    pub method: String,
    pub answer: oneshot::Sender<Outcome>,
}

impl Voice {
    pub fn new() -> (Self, Ears) {
        let ((told, hears), (asked, questions)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        (Self { told, asked }, Ears { told: hears, asked: questions })
    }

    pub fn party() -> (Option<Arc<dyn Party>>, Ears) {
        let (voice, ears) = Self::new();
        (Some(Arc::new(voice)), ears)
    }

    fn hear(&self, notification: Notification) {
        let params = notification.params.as_ref().map(value).unwrap_or_default();
        let _ = self.told.send((notification.method.into_owned(), params));
    }

    async fn ask(&self, method: &str) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let _ = self.asked.send(Question { method: method.to_owned(), answer });
        answered.await.unwrap()
    }
}

#[async_trait]
impl LineHost for Voice {
    fn told(&self, notification: Notification) {
        self.hear(notification);
    }

    async fn asked(&self, method: &str, _: Option<Raw>) -> Outcome {
        self.ask(method).await
    }
}

#[async_trait]
impl Party for Voice {
    async fn told(&self, notification: Notification) {
        self.hear(notification);
    }

    async fn asked(&self, method: &str, _: Option<Raw>) -> Outcome {
        self.ask(method).await
    }
}

impl Ears {
    pub async fn told(&mut self) -> (String, Value) {
        soon(self.told.recv()).await.unwrap()
    }

    pub async fn asked(&mut self) -> Question {
        soon(self.asked.recv()).await.unwrap()
    }

    /// Whether nothing has come, and is on its way.
    pub fn is_silent(&mut self) -> bool {
        self.told.try_recv().is_err() && self.asked.try_recv().is_err()
    }
}
