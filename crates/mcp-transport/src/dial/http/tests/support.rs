//! Scripted servers, and a host and a party that remember.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::Router;
use json_rpc::{Notification, Outcome, Raw};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
    time::timeout,
};

use crate::{
    ConnectOptions, LineHost, Outgoing, Party,
    dial::http::{HttpLine, headers::Stage},
};

/// Waits for what must happen. Nothing takes nearly as long.
pub async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), event).await.expect("this should have happened long ago")
}

/// Hears and answers, as a host or as a party.
pub struct Ears {
    told: mpsc::UnboundedSender<String>,
    /// Questions with `wait` in their method are answered when this is told.
    pub release: Notify,
    /// How many of them were dropped.
    pub dropped: AtomicUsize,
    pub noticed: Notify,
}

pub type Heard = mpsc::UnboundedReceiver<String>;

pub fn ears() -> (Arc<Ears>, Heard) {
    let (told, heard) = mpsc::unbounded_channel();
    let (release, noticed) = (Notify::new(), Notify::new());
    (Arc::new(Ears { told, release, dropped: AtomicUsize::new(0), noticed }), heard)
}

struct Dropped<'e>(Option<&'e Ears>);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        if let Some(ears) = self.0 {
            ears.dropped.fetch_add(1, Ordering::SeqCst);
            ears.noticed.notify_one();
        }
    }
}

impl Ears {
    fn hear(&self, notification: &Notification) {
        let params = notification.params.as_ref().map_or("", Raw::as_str);
        let _ = self.told.send(format!("{} {params}", notification.method));
    }

    async fn answer(&self, method: &str) -> Outcome {
        let _ = self.told.send(format!("asked {method}"));
        if method.contains("wait") {
            let mut dropped = Dropped(Some(self));
            self.release.notified().await;
            dropped.0 = None;
        }
        Ok(Raw::read(format!(r#"{{"answers": "{method}", "roots": []}}"#)).unwrap())
    }
}

#[async_trait]
impl LineHost for Ears {
    fn told(&self, notification: Notification) {
        self.hear(&notification);
    }

    async fn asked(&self, method: &str, _: Option<Raw>) -> Outcome {
        self.answer(method).await
    }
}

#[async_trait]
impl Party for Ears {
    async fn told(&self, notification: Notification) {
        self.hear(&notification);
    }

    async fn asked(&self, method: &str, _: Option<Raw>) -> Outcome {
        self.answer(method).await
    }
}

pub async fn next(heard: &mut Heard) -> String {
    soon(heard.recv()).await.unwrap()
}

/// A line to this server; nothing is agreed on.
pub fn line(address: SocketAddr) -> (HttpLine, Heard) {
    line_with(address, &ConnectOptions::default())
}

pub fn line_with(address: SocketAddr, options: &ConnectOptions) -> (HttpLine, Heard) {
    let (host, heard) = ears();
    let url = format!("http://{address}/mcp").parse().unwrap();
    (HttpLine::new(&url, host, options).unwrap(), heard)
}

pub fn modern(address: SocketAddr) -> HttpLine {
    let (line, _) = line(address);
    line.agree("2026-07-28", true);
    line
}

/// The handshake of the older era.
pub async fn initialize(line: &HttpLine) {
    let params = r#"{"protocolVersion": "2025-11-25", "capabilities": {"roots": {}},
        "clientInfo": {"name": "test", "version": "1"}}"#;
    soon(line.introduce(request("initialize", params), None)).await.unwrap().unwrap();
    line.agree("2025-11-25", false);
    soon(line.notify(Notification::new("notifications/initialized", None))).await.unwrap();
}

pub fn request(method: &'static str, params: &'static str) -> Outgoing {
    Outgoing { method: method.into(), params: Some(Raw::read(params).unwrap()), mirrored: Vec::new() }
}

pub fn call(tool: &str) -> Outgoing {
    called(tool, "")
}

/// A call as the era of the line wants it.
pub fn call_on(line: &HttpLine, tool: &str) -> Outgoing {
    let modern = r#""io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}, "#;
    called(tool, if line.0.manner().stage() == Stage::Modern { modern } else { "" })
}

fn called(tool: &str, meta: &str) -> Outgoing {
    let meta = format!(r#"{{{meta}"progressToken": "p"}}"#);
    let params = Raw::read(format!(r#"{{"name": "{tool}", "arguments": {{}}, "_meta": {meta}}}"#));
    Outgoing { method: "tools/call".into(), params: Some(params.unwrap()), mirrored: Vec::new() }
}

/// Serves this on a port of its own, as long as the test runs.
pub async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// What came in, and the connection.
pub struct Visit {
    pub text: String,
    pub stream: TcpStream,
}

impl Visit {
    pub async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Waits until the other side closes.
    pub async fn closed(&mut self) {
        let mut rest = Vec::new();
        let _ = soon(self.stream.read_to_end(&mut rest)).await;
    }

    /// Reads the next request on the connection.
    pub async fn again(&mut self) {
        self.text = read_request(&mut self.stream).await.unwrap();
    }

    /// The id of the request in the body.
    pub fn id(&self) -> u64 {
        let (_, body) = self.text.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        body["id"].as_u64().unwrap()
    }

    pub fn json(&self, status: &str, headers: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        )
    }

    pub async fn answer(&mut self, result: &str) {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, self.id());
        self.write(&self.json("200 OK", "", &body)).await;
    }
}

pub const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// A server whose requests the test answers itself.
pub struct Doorkeeper {
    pub address: SocketAddr,
    listener: TcpListener,
    pub visits: Arc<Mutex<Vec<String>>>,
}

impl Doorkeeper {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, listener, visits: Arc::default() }
    }

    /// The next request on a new connection.
    pub async fn visit(&self) -> Visit {
        let (mut stream, _) = soon(self.listener.accept()).await.unwrap();
        let text = read_request(&mut stream).await.unwrap();
        self.visits.lock().unwrap().push(text.clone());
        Visit { text, stream }
    }

    /// Does the handshake of the older era, with session `s`, on one connection; gives that.
    pub async fn welcome(&self) -> Visit {
        let mut visit = self.visit().await;
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"protocolVersion":"2025-11-25","capabilities":{{}},"serverInfo":{{"name":"s","version":"1"}}}}}}"#,
            visit.id()
        );
        visit.write(&visit.json("200 OK", "mcp-session-id: s\r\n", &body)).await;
        visit.again().await;
        assert!(visit.text.contains("notifications/initialized"), "{}", visit.text);
        visit.write("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        visit
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase().lines().find_map(|line| {
                line.strip_prefix("content-length: ").and_then(|length| length.parse().ok())
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        if soon(stream.read_buf(&mut read)).await.ok()? == 0 {
            return None;
        }
    }
}
