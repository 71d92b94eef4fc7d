//! `mcp-floor [stdio | stdio-pipes | http [ADDRESS]]`: the least MCP server, and what the SDK gives by itself over these transports.
//!
//! `echo` gives its argument back, in the words of tool-server; `send_message_to_ai` posts to `$SERVER_B_URL/process`
//! (default `http://127.0.0.1:8000`) and gives the answer back, as server-a does. No history, retry, log or checked
//! argument. Over HTTP it is the SDK's service for Streamable HTTP with its defaults, behind `/mcp`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::serve::ListenerExt;
use clap::{Parser, Subcommand};
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService, stdio, stdio_pipes};
use rmcp::{ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

/// The least MCP server, the floor of server-a and tool-server.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    transport: Option<Transport>,
    /// As many more tools, `echo_1` and so on, which do what `echo` does.
    #[arg(long, global = true, default_value_t = 0)]
    more_tools: u16,
}

#[derive(Subcommand)]
enum Transport {
    /// One client on standard input and output, the default.
    Stdio,
    /// The same, without threads that wait for the pipes.
    StdioPipes,
    /// Streamable HTTP at `/mcp`.
    Http {
        /// Where to listen.
        #[arg(default_value = "127.0.0.1:9100")]
        address: SocketAddr,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the least program has one setting and no `Config`")]
    let server_b = std::env::var("SERVER_B_URL").unwrap_or_else(|_| "http://127.0.0.1:8000".to_owned());
    let options = Options::parse();
    let floor = McpFloor::new(&server_b, options.more_tools)?;
    match options.transport.unwrap_or(Transport::Stdio) {
        Transport::Stdio => serve_streams(floor, stdio()).await,
        Transport::StdioPipes => serve_streams(floor, stdio_pipes()).await,
        Transport::Http { address } => serve_http(floor, address).await,
    }
}

async fn serve_streams<R, W>(floor: McpFloor, streams: (R, W)) -> anyhow::Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    floor.serve(streams).await.context("no MCP session")?.waiting().await.context("mcp-floor stopped")?;
    Ok(())
}

async fn serve_http(floor: McpFloor, address: SocketAddr) -> anyhow::Result<()> {
    let sessions = Arc::new(LocalSessionManager::default());
    let config = StreamableHttpServerConfig::default();
    let service = StreamableHttpService::new(move || Ok(floor.clone()), sessions, config);
    let listener = TcpListener::bind(address).await.with_context(|| format!("{address} cannot be bound"))?;
    // Nagle's algorithm holds the small writes of a stream back until the peer's delayed acknowledgement (40 ms).
    let listener = listener.tap_io(|socket| {
        socket.set_nodelay(true).ok(); // fails on a connection that is already closed, and then nothing is lost
    });
    let router = Router::new().route_service("/mcp", service);
    axum::serve(listener, router).await.context("mcp-floor stopped")
}

#[derive(Clone)]
struct McpFloor {
    http: reqwest::Client,
    process_url: Arc<str>,
    /// Shared: without sessions, every request has a handler of its own.
    tool_router: Arc<ToolRouter<Self>>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Question {
    /// What to send.
    message: String,
}

#[tool_router]
impl McpFloor {
    fn new(server_b: &str, more_tools: u16) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build().context("no HTTP client")?;
        let process_url = format!("{server_b}/process").into();
        let mut tool_router = Self::tool_router();
        let echo = tool_router.map["echo"].clone();
        for number in 1..=more_tools {
            let mut another = echo.clone();
            another.attr.name = format!("echo_{number}").into();
            tool_router.add_route(another);
        }
        Ok(Self { http, process_url, tool_router: Arc::new(tool_router) })
    }

    /// Give the message back.
    #[tool]
    async fn echo(&self, Parameters(question): Parameters<Question>) -> String {
        format!("Echo: {}", question.message)
    }

    /// Send a message and get the model's answer.
    #[tool]
    async fn send_message_to_ai(&self, Parameters(question): Parameters<Question>) -> Result<String, String> {
        let answer = self.post(&question).await;
        answer.map_err(|error| error.to_string())
    }

    async fn post(&self, question: &Question) -> reqwest::Result<String> {
        let response = self.http.post(&*self.process_url).json(question).send().await?;
        response.error_for_status()?.text().await
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for McpFloor {}
