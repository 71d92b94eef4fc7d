//! Raw conversations over the transports that keep a connection: text goes out as it is.

use std::sync::Arc;

use eventsource_stream::Eventsource as _;
use futures_util::{SinkExt as _, StreamExt as _, stream::BoxStream};
use mcp_transport::serve_streams;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex, split},
    net::TcpStream,
    sync::oneshot,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

use crate::support::{Events, INITIALIZE, INITIALIZED, Server, Tools, soon};

/// One conversation.
pub enum Wire {
    Stdio(BufReader<DuplexStream>, DuplexStream),
    Sse { events: BoxStream<'static, (String, String)>, endpoint: String, http: reqwest::Client },
    WebSocket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
}

impl Wire {
    /// Every transport that keeps a connection, each with a session of 2025-11-25.
    pub async fn all(server: &Server) -> Vec<(&'static str, Self)> {
        let mut all = vec![
            ("stdio", Self::stdio(&server.events)),
            ("SSE", Self::sse(server).await),
            ("WebSocket", Self::web_socket(server).await),
        ];
        for (_, wire) in &mut all {
            wire.begin().await;
        }
        all
    }

    pub fn stdio(events: &Arc<Events>) -> Self {
        let (wire, _) = Self::stdio_with_end(events);
        wire
    }

    /// Also tells when the session has ended.
    pub fn stdio_with_end(events: &Arc<Events>) -> (Self, oneshot::Receiver<Result<(), String>>) {
        let ((ours, theirs), (their_output, our_input)) = (duplex(64 * 1024), duplex(64 * 1024));
        let handler = Tools::new(events);
        let (ended, end) = oneshot::channel();
        tokio::spawn(async move {
            let (input, _) = split(theirs);
            let (_, output) = split(their_output);
            let result = serve_streams(handler, input, output, std::future::pending()).await;
            let _ = ended.send(result.map_err(|error| error.to_string()));
        });
        (Self::Stdio(BufReader::new(our_input), ours), end)
    }

    pub async fn sse(server: &Server) -> Self {
        let response = soon(server.http.get(server.url("/sse")).send()).await.unwrap();
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        let events = response.bytes_stream().eventsource();
        let mut events =
            events.filter_map(async |event| event.ok().map(|event| (event.event, event.data))).boxed();
        let (kind, endpoint) = soon(events.next()).await.unwrap();
        assert_eq!(kind, "endpoint");
        Self::Sse { events, endpoint: server.url(&endpoint), http: server.http.clone() }
    }

    pub async fn web_socket(server: &Server) -> Self {
        let url = format!("ws://{}/ws", server.address);
        let (socket, _) = soon(tokio_tungstenite::connect_async(url)).await.unwrap();
        Self::WebSocket(Box::new(socket))
    }

    pub async fn begin(&mut self) {
        self.send(INITIALIZE).await;
        let answer = self.receive().await;
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer}");
        self.send(INITIALIZED).await;
    }

    /// Sends `text`. Over SSE what it is not taken for comes as the answer of the post, which is then given.
    pub async fn send(&mut self, text: &str) -> Option<Value> {
        match self {
            Self::Stdio(_, output) => soon(output.write_all(format!("{text}\n").as_bytes())).await.unwrap(),
            Self::WebSocket(socket) => soon(socket.send(Message::text(text))).await.unwrap(),
            Self::Sse { endpoint, http, .. } => {
                let posted =
                    http.post(&*endpoint).header("content-type", "application/json").body(text.to_owned());
                let answer = soon(posted.send()).await.unwrap();
                if answer.status() != 202 {
                    return soon(answer.json()).await.ok();
                }
            }
        }
        None
    }

    pub async fn receive(&mut self) -> Value {
        soon(self.next()).await.expect("the conversation has ended")
    }

    /// The next message; none when the conversation has ended.
    pub async fn next(&mut self) -> Option<Value> {
        let text = match self {
            Self::Stdio(input, _) => {
                let mut line = String::new();
                (input.read_line(&mut line).await.unwrap() > 0).then_some(line)?
            }
            Self::Sse { events, .. } => events.next().await?.1,
            Self::WebSocket(socket) => loop {
                match socket.next().await?.ok()? {
                    Message::Text(text) => break text.to_string(),
                    Message::Close(_) => return None,
                    _ => {}
                }
            },
        };
        Some(serde_json::from_str(&text).unwrap())
    }

    /// What `text` is answered with, wherever the transport puts that.
    pub async fn ask(&mut self, text: &str) -> Value {
        match self.send(text).await {
            Some(answer) => answer,
            None => self.receive().await,
        }
    }
}
