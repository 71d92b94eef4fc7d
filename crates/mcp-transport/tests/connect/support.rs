//! A server on the network whose calls are counted, and scripted ones.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use clap::Parser;
use mcp_transport::{Address, Client, ConnectOptions, Era, NetworkServer, NetworkSettings};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ServerCapabilities,
        ServerConfig,
    },
    service::{RequestContext, ServiceError},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime, sync::Notify, time::timeout};

/// Longest wait for anything that must happen. Nothing takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what must happen.
pub async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event).await.expect("this should have happened long ago")
}

/// What the handler was asked, by whichever server and connection.
#[derive(Clone, Default)]
pub struct Seen(Arc<Events>);

#[derive(Default)]
struct Events {
    calls: AtomicUsize,
    waiting: Notify,
    cancelled: Notify,
}

impl Seen {
    pub fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// A call of `wait` has begun.
    pub async fn waiting(&self) {
        soon(self.0.waiting.notified()).await;
    }

    /// A call of `wait` was cancelled.
    pub async fn cancelled(&self) {
        soon(self.0.cancelled.notified()).await;
    }
}

/// `count` counts; `wait` counts too, and ends when it is cancelled; `long` answers with 4 KiB.
impl ServerHandler for Seen {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let number = self.0.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let text = match &*request.name {
            "wait" => {
                self.0.waiting.notify_one();
                context.ct.cancelled().await;
                self.0.cancelled.notify_one();
                String::new()
            }
            "long" => "x".repeat(4 << 10),
            _ => number.to_string(),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    network: NetworkSettings,
}

/// A server with all network transports, which can crash and come back.
pub struct Server {
    pub port: u16,
    runtime: Option<Runtime>,
}

impl Server {
    pub fn start(seen: &Seen) -> Self {
        Self::start_with(seen, &[])
    }

    pub fn with_key(seen: &Seen, key: &str) -> Self {
        Self::start_with(seen, &["--mcp-api-key", key])
    }

    fn start_with(seen: &Seen, flags: &[&str]) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let settings = Settings::parse_from([&["server"], flags].concat()).network;
        let (seen, (bound, port_bound)) = (seen.clone(), std::sync::mpsc::channel());
        runtime.spawn(async move {
            let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let server = NetworkServer::bind(host, 0, &settings).await.unwrap();
            bound.send(server.local_addr().port()).unwrap();
            server.serve(move || seen.clone(), std::future::pending()).await;
        });
        Self { port: port_bound.recv().unwrap(), runtime: Some(runtime) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The three ways to reach a server on the network.
pub fn addresses(port: u16) -> [Address; 3] {
    ["http", "sse", "websocket"].map(|transport| {
        let address: Address = format!("127.0.0.1:{port}").parse().unwrap();
        address.with_transport(transport.parse().unwrap())
    })
}

/// Serves this on a port of its own, as long as the test runs.
pub async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A port where nothing listens.
pub async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

pub fn address(text: impl AsRef<str>) -> Address {
    text.as_ref().parse().unwrap()
}

pub fn era(era: Era) -> ConnectOptions {
    ConnectOptions { era, ..ConnectOptions::default() }
}

/// Calls a tool and gives the text of its answer.
pub async fn call(client: &Client<()>, tool: &'static str) -> Result<String, ServiceError> {
    let answer = soon(client.service().call_tool(CallToolRequestParams::new(tool))).await?;
    Ok(answer.content[0].as_text().unwrap().text.clone())
}

/// The answer of a server of the older era, whatever it is asked.
pub fn legacy_answer(message: &Value) -> Option<Value> {
    let id = message.get("id")?;
    let result = match message["method"].as_str()? {
        "initialize" => json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
            "serverInfo": {"name": "scripted", "version": "1"}}),
        "tools/call" => json!({"content": [{"type": "text", "text": "called"}]}),
        _ => {
            let error = json!({"code": -32601, "message": "Method not found"});
            return Some(json!({"jsonrpc": "2.0", "id": id, "error": error}));
        }
    };
    Some(json!({"jsonrpc": "2.0", "id": id, "result": result}))
}
