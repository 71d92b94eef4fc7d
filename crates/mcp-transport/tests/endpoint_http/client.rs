//! Raw requests to `/mcp`.

use reqwest::{Method, RequestBuilder, Response, header};
use serde_json::{Value, json};

use crate::support::{Server, within};

pub const LEGACY: &str = "2025-11-25";
pub const MODERN: &str = "2026-07-28";
pub const ACCEPT: &str = "application/json, text/event-stream";

pub fn request(id: impl Into<Value>, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params})
}

pub fn notification(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

pub fn initialize(version: &str, client: &str) -> Value {
    let client = json!({"name": client, "version": "1"});
    request(0, "initialize", json!({"protocolVersion": version, "capabilities": {}, "clientInfo": client}))
}

/// A message to the server.
pub fn post(server: &Server, message: &Value) -> RequestBuilder {
    server.http.post(server.url("/mcp")).header(header::ACCEPT, ACCEPT).json(message)
}

/// A request of the newer era.
pub fn modern(server: &Server, method: &str, mut params: Value) -> RequestBuilder {
    add_metadata(&mut params);
    let name = ["name", "uri", "taskId"].iter().find_map(|name| params[name].as_str()).map(str::to_owned);
    let message = request(5, method, params);
    let request = post(server, &message).header("mcp-protocol-version", MODERN).header("mcp-method", method);
    name.into_iter().fold(request, |request, name| request.header("mcp-name", name))
}

pub fn add_metadata(params: &mut Value) {
    let meta = &mut params["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
    meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
}

pub fn tool(name: &str) -> Value {
    json!({"name": name, "arguments": {}})
}

/// A session of the older era.
pub struct Session<'s> {
    pub server: &'s Server,
    pub id: String,
    pub version: String,
}

impl<'s> Session<'s> {
    pub async fn open(server: &'s Server) -> Self {
        Self::of(server, LEGACY).await
    }

    pub async fn of(server: &'s Server, version: &str) -> Self {
        let response = send(post(server, &initialize(version, "test"))).await;
        assert_eq!(response.status(), 200);
        let id = response.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let session = Self { server, id, version: version.to_owned() };
        assert_eq!(session.say("notifications/initialized", json!({})).await.status(), 202);
        session
    }

    pub fn request(&self, method: Method) -> RequestBuilder {
        self.mark(self.server.http.request(method, self.server.url("/mcp")).header(header::ACCEPT, ACCEPT))
    }

    fn mark(&self, request: RequestBuilder) -> RequestBuilder {
        request.header("mcp-session-id", &self.id).header("mcp-protocol-version", &self.version)
    }

    pub fn post(&self, message: &Value) -> RequestBuilder {
        self.mark(post(self.server, message))
    }

    pub async fn call(&self, id: u64, name: &str) -> Response {
        send(self.post(&request(id, "tools/call", tool(name)))).await
    }

    pub async fn say(&self, method: &str, params: Value) -> Response {
        send(self.post(&notification(method, params))).await
    }

    pub async fn listen(&self) -> Stream {
        Stream::new(send(self.request(Method::GET)).await)
    }

    pub async fn resume(&self, last: &str) -> Stream {
        Stream::new(send(self.request(Method::GET).header("last-event-id", last)).await)
    }
}

pub async fn send(request: RequestBuilder) -> Response {
    within(request.send()).await.unwrap()
}

/// The status of a response and the JSON in it.
pub async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json");
    (status, within(response.json()).await.unwrap())
}

/// The status of a response, the code of the error in it and its id.
pub async fn error(request: RequestBuilder) -> (u16, i64, Value) {
    let (status, answer) = read(send(request).await).await;
    (status, answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("{answer}")), answer["id"].clone())
}

/// A stream of events, as text.
pub struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    pub fn new(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        Self { response, text: String::new() }
    }

    /// Reads until an event has this in it; returns everything that was read.
    pub async fn until(&mut self, wanted: &str) -> &str {
        within(async {
            while !self.text.contains(wanted) || !self.text.ends_with("\n\n") {
                assert!(self.more().await, "it ended: {}", self.text);
            }
        })
        .await;
        &self.text
    }

    /// Reads to the end.
    pub async fn all(mut self) -> String {
        within(async { while self.more().await {} }).await;
        self.text
    }

    /// Reads on; returns whether there was more.
    async fn more(&mut self) -> bool {
        let chunk = self.response.chunk().await.unwrap();
        chunk.map(|chunk| self.text.push_str(&String::from_utf8_lossy(&chunk))).is_some()
    }
}

/// The ids of events.
pub fn ids(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("id: ")).collect()
}

/// The messages of events.
pub fn messages(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| !data.is_empty());
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}
