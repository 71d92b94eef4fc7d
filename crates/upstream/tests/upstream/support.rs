//! Servers on the network and as children, and upstreams of them.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use mcp_transport::{Address, ConnectOptions, Era, NetworkServer, NetworkSettings};
use resilience::Backoff;
use rmcp::model::{CallToolResult, JsonObject};
use serde_json::Value;
use tokio::{net::TcpListener, runtime::Runtime, time::timeout};
use upstream::{CallError, CallOptions, Host, Limits, Options, Upstream};

use crate::fixture::State;

/// Longest wait for anything that must happen. Nothing takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what must happen.
pub async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event).await.expect("this should have happened long ago")
}

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    network: NetworkSettings,
}

/// A server with all network transports, which can crash and come back.
pub struct Server {
    pub port: u16,
    pub state: Arc<State>,
    runtime: Option<Runtime>,
}

impl Server {
    pub fn start() -> Self {
        Self::at(0, Arc::default())
    }

    fn at(port: u16, state: Arc<State>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let settings = Settings::parse_from(["server"]).network;
        let (sessions, (bound, port_bound)) = (state.clone(), std::sync::mpsc::channel());
        runtime.spawn(async move {
            let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let server = NetworkServer::bind(host, port, &settings).await.unwrap();
            bound.send(server.local_addr().port()).unwrap();
            server.serve(move || sessions.session(), std::future::pending()).await;
        });
        Self { port: port_bound.recv().unwrap(), state, runtime: Some(runtime) }
    }

    /// Cuts all connections without a word.
    pub fn crash(mut self) -> u16 {
        self.runtime.take().unwrap().shutdown_background();
        self.port
    }

    /// Another server at the port of one that crashed. It knows nothing of what was before.
    pub async fn again(port: u16, state: Arc<State>) -> Self {
        drop(listener(port).await);
        Self::at(port, state)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Takes the port of a server that crashed.
pub async fn listener(port: u16) -> TcpListener {
    // The sockets of the old one are closed by another thread.
    soon(async {
        loop {
            match TcpListener::bind(("127.0.0.1", port)).await {
                Ok(listener) => return listener,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

/// All ways to reach a server on the network: three transports in two eras.
pub fn ways(port: u16) -> Vec<(Address, Era)> {
    let eras = [Era::Modern, Era::Legacy];
    let address = |transport: &str| {
        let address: Address = format!("127.0.0.1:{port}").parse().unwrap();
        address.with_transport(transport.parse().unwrap())
    };
    ["http", "sse", "websocket"].iter().flat_map(|way| eras.map(|era| (address(way), era))).collect()
}

/// Short limits and waits.
pub fn options(era: Era) -> Options {
    let short = Duration::from_millis(5);
    Options {
        connect: ConnectOptions { era, ..ConnectOptions::default() },
        backoff: Backoff { attempts: 4, base: short, max: short },
        ..Options::default()
    }
}

pub fn upstream(address: Address, options: Options, host: Arc<dyn Host>) -> Upstream {
    Upstream::new("server", address, options, host)
}

/// These limits for one call.
pub fn within(idle: Duration, total: Duration) -> CallOptions {
    CallOptions { limits: Some(Limits { idle, total }), ..CallOptions::default() }
}

/// Calls a tool and gives the text of its answer.
pub async fn call(upstream: &Upstream, tool: &str, arguments: Value) -> Result<String, CallError> {
    soon(upstream.call_tool(tool, object(arguments), CallOptions::default())).await.map(text)
}

pub fn object(arguments: Value) -> JsonObject {
    arguments.as_object().cloned().unwrap_or_default()
}

pub fn text(result: CallToolResult) -> String {
    result.content[0].as_text().unwrap().text.clone()
}
