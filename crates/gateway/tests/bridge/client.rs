//! A client of raw messages in memory.

use std::{pin::pin, sync::Arc, time::Duration};

use json_rpc::{Id, Message, Notification, Outcome, Raw, Request, Response};
use mcp_transport::{Endpoint, serve_endpoint_streams};
use serde_json::{Value, json};
use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
        duplex, split,
    },
    task::JoinHandle,
};

use crate::support::{raw, soon};

/// A client of raw messages.
pub struct RawClient {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    writer: WriteHalf<DuplexStream>,
    is_modern: bool,
    capabilities: Value,
    next: u64,
    /// Notifications that came while something else was awaited.
    pub heard: Vec<Notification>,
    server: JoinHandle<()>,
}

/// The client's half of a connection to the gateway.
pub fn connect<E: Endpoint>(endpoint: &Arc<E>) -> (DuplexStream, JoinHandle<()>) {
    let (near, far) = duplex(1 << 16);
    let endpoint = endpoint.clone();
    let server = tokio::spawn(async move {
        let serving =
            serve_endpoint_streams(endpoint, split(far), Duration::from_secs(1), std::future::pending());
        serving.await.unwrap();
    });
    (near, server)
}

impl RawClient {
    /// A client of the newer era that can do all this.
    pub fn modern<E: Endpoint>(endpoint: &Arc<E>, capabilities: Value) -> Self {
        let (stream, server) = connect(endpoint);
        let (reader, writer) = split(stream);
        let lines = BufReader::new(reader).lines();
        Self { lines, writer, is_modern: true, capabilities, next: 1, heard: Vec::new(), server }
    }

    /// A client of the older era that has introduced itself.
    pub async fn legacy<E: Endpoint>(endpoint: &Arc<E>, capabilities: Value) -> Self {
        let mut client = Self { is_modern: false, ..Self::modern(endpoint, capabilities.clone()) };
        let params = json!({
            "protocolVersion": "2025-11-25", "capabilities": capabilities,
            "clientInfo": {"name": "raw", "version": "1"},
        });
        client.call("initialize", &params).await.unwrap();
        client.send(Notification::new("notifications/initialized", None)).await;
        client
    }

    /// Sends what may be no message at all.
    pub async fn write(&mut self, line: &str) {
        soon(self.writer.write_all(format!("{line}\n").as_bytes())).await.unwrap();
    }

    pub async fn send(&mut self, message: impl Into<Message>) {
        let line = message.into().to_bytes();
        self.write(std::str::from_utf8(&line).unwrap()).await;
    }

    /// The next message.
    pub async fn next(&mut self) -> Message {
        let line = soon(self.lines.next_line()).await.unwrap().expect("the gateway hung up");
        Message::read(&line.into()).unwrap()
    }

    /// Sends a request with these parameters and what its era needs in `_meta`.
    pub async fn begin(&mut self, method: &str, params: &Value) -> Id {
        let params = if self.is_modern { self.stamped(params) } else { params.clone() };
        self.begin_raw(method, raw(&params)).await
    }

    /// Sends a request with exactly these parameters.
    pub async fn begin_raw(&mut self, method: &str, params: Raw) -> Id {
        let id = Id::from(self.next);
        self.next += 1;
        let request = Request { id: id.clone(), method: method.to_owned().into(), params: Some(params) };
        self.send(request).await;
        id
    }

    /// Parameters with what the newer era needs.
    pub fn stamped(&self, params: &Value) -> Value {
        let mut params = params.clone();
        if params.get("_meta").is_none() {
            params["_meta"] = json!({});
        }
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2026-07-28".into();
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
        params
    }

    /// Waits for the answer to this request, and keeps the notifications that come before it.
    pub async fn end(&mut self, id: &Id) -> Outcome {
        loop {
            match self.next().await {
                Message::Response(response) if response.id.as_ref() == Some(id) => return response.outcome,
                Message::Notification(notification) => self.heard.push(notification),
                other => panic!("{other:?} is not what was waited for"),
            }
        }
    }

    pub async fn call(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        let id = self.begin(method, params).await;
        let outcome = self.end(&id).await;
        outcome.map(|raw| raw.parse().unwrap()).map_err(|raw| raw.parse().unwrap())
    }

    /// The next request of the server.
    pub async fn question(&mut self) -> Request {
        match self.next().await {
            Message::Request(request) => request,
            other => panic!("{other:?} is no question"),
        }
    }

    pub async fn reply(&mut self, id: Id, outcome: Outcome) {
        self.send(Response::new(id, outcome)).await;
    }

    /// Hangs up and waits until the gateway has noticed.
    pub async fn leave(self) {
        let Self { lines, writer, server, .. } = self;
        drop((lines, writer));
        soon(pin!(server)).await.unwrap();
    }
}
