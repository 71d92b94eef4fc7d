//! One client for the wires that have one connection, made of raw requests, frames and lines.

use eventsource_stream::Eventsource as _;
use futures_util::{SinkExt as _, StreamExt as _};
use mcp_transport::{SessionError, serve_endpoint_streams};
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Streams,
    Sse,
    WebSocket,
}

pub const WIRES: [Wire; 3] = [Wire::Streams, Wire::Sse, Wire::WebSocket];

/// A client; dropping it closes its connections.
pub struct Client {
    /// Texts for the task that writes them.
    outgoing: Option<mpsc::UnboundedSender<String>>,
    /// Texts, and `None` for the end of the connection.
    incoming: mpsc::UnboundedReceiver<Option<String>>,
    /// The server's side of a session over streams.
    pub served: Option<JoinHandle<Result<(), SessionError>>>,
    _tasks: JoinSet<()>,
}

impl Client {
    pub async fn connect(server: &Server, wire: Wire) -> Self {
        let mut tasks = JoinSet::new();
        let (inbox, incoming) = mpsc::unbounded_channel();
        let (outgoing, mut texts) = mpsc::unbounded_channel::<String>();
        let mut served = None;
        match wire {
            Wire::Streams => {
                let (near, far) = duplex(1 << 16);
                let stopped = server.stop.clone().cancelled_owned();
                let serving =
                    serve_endpoint_streams(server.fixture.clone(), split(far), server.grace, stopped);
                served = Some(tokio::spawn(serving));
                let (input, mut output) = split(near);
                tasks.spawn(async move {
                    while let Some(text) = texts.recv().await {
                        output.write_all(format!("{text}\n").as_bytes()).await.ok();
                    }
                    output.shutdown().await.unwrap();
                });
                tasks.spawn(async move {
                    let mut lines = BufReader::new(input).lines();
                    while let Ok(Some(line)) = lines.next_line().await {
                        inbox.send(Some(line)).ok();
                    }
                    inbox.send(None).ok();
                });
            }
            Wire::Sse => {
                let http = reqwest::Client::builder().no_proxy().build().unwrap();
                let url = |path: &str| format!("http://{}{path}", server.address);
                let response = http.get(url("/sse")).send().await.unwrap();
                let mut events = response.bytes_stream().eventsource();
                let url = url(&within(events.next()).await.unwrap().unwrap().data);
                let refusals = inbox.clone();
                tasks.spawn(async move {
                    while let Some(text) = texts.recv().await {
                        let posting = http.post(&url).header("content-type", "application/json").body(text);
                        let response = posting.send().await.unwrap();
                        if !response.status().is_success() {
                            refusals.send(Some(response.text().await.unwrap())).ok();
                        }
                    }
                });
                tasks.spawn(async move {
                    while let Some(Ok(event)) = events.next().await {
                        inbox.send(Some(event.data)).ok();
                    }
                    inbox.send(None).ok();
                });
            }
            Wire::WebSocket => {
                let mut request = format!("ws://{}/ws", server.address).into_client_request().unwrap();
                request.headers_mut().insert("sec-websocket-protocol", "mcp".parse().unwrap());
                let (mut sink, mut stream) = connect_async(request).await.unwrap().0.split();
                tasks.spawn(async move {
                    while let Some(text) = texts.recv().await {
                        sink.send(Message::text(text)).await.ok();
                    }
                    sink.close().await.ok();
                });
                tasks.spawn(async move {
                    while let Some(Ok(frame)) = stream.next().await {
                        if let Message::Text(text) = frame {
                            inbox.send(Some(text.to_string())).ok();
                        }
                    }
                    inbox.send(None).ok();
                });
            }
        }
        Self { outgoing: Some(outgoing), incoming, served, _tasks: tasks }
    }

    /// Sends a text.
    pub fn write(&self, text: impl ToString) {
        self.outgoing.as_ref().expect("the input has not ended").send(text.to_string()).unwrap();
    }

    /// Sends a request.
    pub fn request(&self, id: impl Into<Value>, method: &str, params: &Value) {
        self.write(json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params}));
    }

    pub fn cancel(&self, id: u64) {
        let params = json!({"requestId": id, "reason": "no need"});
        self.write(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    }

    /// Says that there is no more to say, and goes on reading.
    pub fn end_input(&mut self) {
        self.outgoing = None;
    }

    /// The text of the next message; `None` when the connection has ended.
    pub async fn text(&mut self) -> Option<String> {
        within(self.incoming.recv()).await.expect("the end is told once")
    }

    pub async fn next(&mut self) -> Value {
        serde_json::from_str(&self.text().await.expect("the connection is open")).unwrap()
    }

    /// The result of a request that nothing else comes before.
    pub async fn ask(&mut self, id: u64, method: &str) -> Value {
        self.request(id, method, &json!({}));
        let answer = self.next().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer["result"].clone()
    }
}
