//! A session with the server over a pair of in-memory streams.

use mcp_transport::{SessionError, serve_streams};
use serde_json::{Value, json};
use server_a::MessengerServer;
use tokio::{
    io::{DuplexStream, ReadHalf, WriteHalf, duplex, split},
    sync::oneshot,
    task::JoinHandle,
};

use crate::support::{Client, StandIn, memory, messenger};

pub const LEGACY: &str = "2025-11-25";
pub const MODERN: &str = "2026-07-28";

pub type Pipe = Client<ReadHalf<DuplexStream>, WriteHalf<DuplexStream>>;

pub struct Session {
    pub client: Pipe,
    pub stop: oneshot::Sender<()>,
    pub served: JoinHandle<Result<(), SessionError>>,
}

/// A server in front of this stand-in, with an empty ledger.
pub fn server(stand_in: &StandIn) -> MessengerServer {
    MessengerServer::new(messenger(&stand_in.url, memory()))
}

/// A session before its handshake.
pub fn connect(stand_in: &StandIn) -> Session {
    connect_to(&server(stand_in))
}

/// One more session with this server, before its handshake.
pub fn connect_to(server: &MessengerServer) -> Session {
    let (near, far) = duplex(1 << 16);
    let (input, output) = split(far);
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(serve_streams(server.session(), input, output, async {
        if stopped.await.is_err() {
            std::future::pending().await // the test does not want to stop it
        }
    }));
    let (input, output) = split(near);
    Session { client: Client::new(input, output), stop, served }
}

/// A session of the older era.
pub async fn legacy(stand_in: &StandIn) -> Session {
    let mut session = connect(stand_in);
    session.client.initialize(LEGACY).await;
    session
}

/// Parameters of the newer era, from a client that can do nothing special.
pub fn modern(params: Value) -> Value {
    modern_with(params, json!({}))
}

/// Parameters of the newer era, from a client that can do these things.
pub fn modern_with(mut params: Value, capabilities: Value) -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    });
    for (key, value) in meta.as_object().unwrap() {
        params["_meta"][key] = value.clone();
    }
    params
}

/// Parameters that call a tool.
pub fn call(tool: &str, arguments: Value) -> Value {
    json!({"name": tool, "arguments": arguments})
}
