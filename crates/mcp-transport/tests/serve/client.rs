//! One client for all wires, made of raw requests, frames and lines.

use std::{collections::VecDeque, time::Duration};

use eventsource_stream::Eventsource as _;
use futures_util::{SinkExt as _, StreamExt as _};
use mcp_transport::{SessionError, serve_streams};
use reqwest::{RequestBuilder, Response, header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, duplex, split},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::support::{Server, within};

pub const LEGACY: &str = "2025-11-25";
pub const MODERN: &str = "2026-07-28";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Stdio,
    Streamable,
    Sse,
    WebSocket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    Legacy,
    Modern,
}

pub const EVERYWHERE: [(Wire, Era); 8] = [
    (Wire::Stdio, Era::Legacy),
    (Wire::Stdio, Era::Modern),
    (Wire::Streamable, Era::Legacy),
    (Wire::Streamable, Era::Modern),
    (Wire::Sse, Era::Legacy),
    (Wire::Sse, Era::Modern),
    (Wire::WebSocket, Era::Legacy),
    (Wire::WebSocket, Era::Modern),
];

/// A client; dropping it closes its connections.
pub struct Client {
    pub era: Era,
    http: reqwest::Client,
    outgoing: Outgoing,
    incoming: mpsc::UnboundedReceiver<Value>,
    inbox: mpsc::UnboundedSender<Value>,
    kept: VecDeque<Value>,
    last_id: u64,
    tasks: JoinSet<()>,
    /// The server's side of a session over streams.
    pub served: Option<JoinHandle<Result<(), SessionError>>>,
}

enum Outgoing {
    /// Texts for a task that writes them.
    Writer(mpsc::UnboundedSender<String>),
    Post {
        url: String,
        session: Option<String>,
    },
}

impl Client {
    /// A client that has shaken hands, if its era does.
    pub async fn open(server: &Server, wire: Wire, era: Era) -> Self {
        let mut client = Self::connect(server, wire, era).await;
        if era == Era::Legacy {
            client.initialize().await;
        }
        client
    }

    /// A client that has said nothing yet.
    pub async fn connect(server: &Server, wire: Wire, era: Era) -> Self {
        let http = http();
        let (inbox, incoming) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let mut served = None;
        let outgoing = match wire {
            Wire::Stdio => {
                let (near, far) = duplex(1 << 16);
                let (input, output) = split(far);
                let stopped = server.stop.clone().cancelled_owned();
                served = Some(tokio::spawn(serve_streams(server.state.handler(), input, output, stopped)));
                let (input, mut output) = split(near);
                let (writer, mut texts) = mpsc::unbounded_channel::<String>();
                tasks.spawn(async move {
                    while let Some(text) = texts.recv().await {
                        output.write_all(format!("{text}\n").as_bytes()).await.unwrap();
                    }
                    output.shutdown().await.unwrap();
                });
                tasks.spawn(forward(inbox.clone(), async move |inbox| {
                    let mut lines = BufReader::new(input).lines();
                    while let Ok(Some(line)) = lines.next_line().await {
                        inbox.send(serde_json::from_str(&line).unwrap()).ok();
                    }
                }));
                Outgoing::Writer(writer)
            }
            Wire::Streamable => Outgoing::Post { url: server.url("/mcp"), session: None },
            Wire::Sse => {
                let response = http.get(server.url("/sse")).send().await.unwrap();
                let mut events = response.bytes_stream().eventsource();
                let endpoint = within(events.next()).await.unwrap().unwrap();
                assert_eq!(endpoint.event, "endpoint");
                let url = server.url(&endpoint.data);
                tasks.spawn(forward(inbox.clone(), async move |inbox| {
                    while let Some(Ok(event)) = events.next().await {
                        inbox.send(serde_json::from_str(&event.data).unwrap()).ok();
                    }
                }));
                Outgoing::Post { url, session: None }
            }
            Wire::WebSocket => {
                let (socket, _) = connect_async(ws_request(server)).await.unwrap();
                let (mut sink, mut stream) = socket.split();
                let (writer, mut texts) = mpsc::unbounded_channel::<String>();
                tasks.spawn(async move {
                    while let Some(text) = texts.recv().await {
                        if sink.send(Message::text(text)).await.is_err() {
                            return;
                        }
                    }
                    sink.close().await.ok();
                });
                tasks.spawn(forward(inbox.clone(), async move |inbox| {
                    while let Some(Ok(frame)) = stream.next().await {
                        match frame {
                            Message::Text(text) => drop(inbox.send(serde_json::from_str(&text).unwrap())),
                            Message::Close(frame) => {
                                let code = frame.map_or(1005, |frame| frame.code.into());
                                inbox.send(json!({ "closed": code })).ok();
                            }
                            _ => {}
                        }
                    }
                }));
                Outgoing::Writer(writer)
            }
        };
        let kept = VecDeque::new();
        Self { era, http, outgoing, incoming, inbox, kept, last_id: 0, tasks, served }
    }

    pub async fn initialize(&mut self) -> Value {
        let id = self.send("initialize", initialize_params()).await;
        let answer = self.answer(id).await;
        assert_eq!(answer["result"]["protocolVersion"], LEGACY, "{answer}");
        self.write(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        if let Outgoing::Post { url, session: Some(session) } = &self.outgoing {
            // The stream on which the server speaks first.
            let request = self.http.get(url).header(header::ACCEPT, "text/event-stream");
            let response = session_headers(request, session).send().await.unwrap();
            assert_eq!(response.status(), 200);
            let inbox = self.inbox.clone();
            self.tasks.spawn(async move {
                pass_on(response, inbox.clone()).await;
                inbox.send(json!({"closed": "stream"})).ok();
            });
        }
        answer
    }

    /// The id of the session that the server named.
    pub fn session(&self) -> Option<&str> {
        match &self.outgoing {
            Outgoing::Post { session, .. } => session.as_deref(),
            Outgoing::Writer(_) => None,
        }
    }

    pub fn last_id(&self) -> u64 {
        self.last_id
    }

    /// Sends a request and returns its id.
    pub async fn send(&mut self, method: &str, mut params: Value) -> u64 {
        self.last_id += 1;
        if self.era == Era::Modern {
            add_metadata(&mut params);
        }
        let id = self.last_id;
        self.write(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        id
    }

    pub async fn call(&mut self, tool: &str, arguments: Value) -> u64 {
        let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "progress"}});
        self.send("tools/call", params).await
    }

    /// Sends a message as it is.
    pub async fn write(&mut self, message: Value) {
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        let params = &message["params"];
        let name = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
        match &self.outgoing {
            Outgoing::Writer(_) => self.write_text(message.to_string()),
            Outgoing::Post { url, session } => {
                let mut request =
                    self.http.post(url).header(header::ACCEPT, "application/json, text/event-stream");
                if self.era == Era::Modern {
                    request = request.header("mcp-protocol-version", MODERN).header("mcp-method", &method);
                    request =
                        name.into_iter().fold(request, |request, name| request.header("mcp-name", name));
                }
                if let Some(session) = session {
                    request = session_headers(request, session);
                }
                let sending = request.json(&message).send();
                if method == "initialize" && !url.contains("sessionId") {
                    let response = within(sending).await.unwrap();
                    let named =
                        response.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
                    let Outgoing::Post { session, .. } = &mut self.outgoing else { unreachable!() };
                    *session = named;
                    self.tasks.spawn(pass_on(response, self.inbox.clone()));
                } else if message.get("id").is_none()
                    || message.get("method").is_none()
                    || url.contains("sessionId")
                {
                    let response = within(sending).await.unwrap();
                    if !response.status().is_success() {
                        self.inbox.send(response.json().await.unwrap()).unwrap();
                    }
                } else {
                    let inbox = self.inbox.clone();
                    self.tasks.spawn(async move {
                        if let Ok(response) = sending.await {
                            pass_on(response, inbox).await;
                        }
                    });
                }
            }
        }
    }

    /// Sends a text over a wire that is a stream.
    pub fn write_text(&self, text: String) {
        let Outgoing::Writer(writer) = &self.outgoing else { panic!("this wire takes requests") };
        writer.send(text).unwrap();
    }

    /// Says that there is no more to say, and goes on reading.
    pub fn end_input(&mut self) {
        self.outgoing = Outgoing::Post { url: String::new(), session: None };
    }

    /// The next message that is not an answer that somebody waits for.
    pub async fn next(&mut self) -> Value {
        match self.kept.pop_front() {
            Some(message) => message,
            None => within(self.incoming.recv()).await.expect("the inbox is ours"),
        }
    }

    /// The answer to a request.
    pub async fn answer(&mut self, id: u64) -> Value {
        loop {
            let message = within(self.incoming.recv()).await.expect("the inbox is ours");
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
            self.kept.push_back(message);
        }
    }

    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        self.answer(id).await
    }

    /// The text of a tool's result.
    pub async fn text(&mut self, tool: &str, arguments: Value) -> String {
        let id = self.call(tool, arguments).await;
        let answer = self.answer(id).await;
        answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

pub fn initialize_params() -> Value {
    let client = json!({"name": "test", "version": "1"});
    json!({"protocolVersion": LEGACY, "capabilities": {"roots": {}}, "clientInfo": client})
}

/// What every request of the newer era says.
pub fn add_metadata(params: &mut Value) {
    if !params.is_object() {
        *params = json!({});
    }
    let meta = &mut params["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
    meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
    meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "test", "version": "1"});
}

pub fn http() -> reqwest::Client {
    // Each its own: a connection that another test's runtime began would end with it.
    reqwest::Client::builder().no_proxy().pool_idle_timeout(Duration::ZERO).build().unwrap()
}

pub fn session_headers(request: RequestBuilder, session: &str) -> RequestBuilder {
    request.header("mcp-session-id", session).header("mcp-protocol-version", LEGACY)
}

pub fn ws_request(server: &Server) -> tokio_tungstenite::tungstenite::handshake::client::Request {
    let mut request = format!("ws://{}/ws", server.address).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "mcp".parse().unwrap());
    request
}

/// Passes on every message of a response, be it one or a stream of them.
async fn pass_on(response: Response, inbox: mpsc::UnboundedSender<Value>) {
    let kind = response.headers().get(header::CONTENT_TYPE).cloned();
    if kind.is_some_and(|kind| kind.to_str().unwrap().starts_with("text/event-stream")) {
        let mut events = response.bytes_stream().eventsource();
        while let Some(Ok(event)) = events.next().await {
            if !event.data.is_empty() {
                inbox.send(serde_json::from_str(&event.data).unwrap()).ok();
            }
        }
    } else if let Ok(answer) = response.json().await {
        inbox.send(answer).ok();
    }
}

/// Reads to the end, and says that it is the end.
async fn forward(inbox: mpsc::UnboundedSender<Value>, read: impl AsyncFnOnce(&mpsc::UnboundedSender<Value>)) {
    read(&inbox).await;
    inbox.send(json!({"closed": "connection"})).ok();
}
