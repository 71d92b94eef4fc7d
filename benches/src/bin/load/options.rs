//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::{Map, Value};

use crate::measurement::Limits;
use crate::target::Target;
use crate::tool_call::{Era, ToolCall};

/// Bounded closed-loop load for servers on this machine; prints one line of JSON.
#[derive(Parser)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) mode: Mode,
}

#[derive(Subcommand)]
pub(crate) enum Mode {
    /// HTTP/1.1 with one keep-alive connection a caller: POST with `--data`, otherwise GET.
    Http(HttpMode),
    /// The same, and the answer is a stream of server-sent events that ends with `[DONE]`.
    Sse(HttpMode),
    /// `tools/call` of MCP over the network, with one connection and one session a caller.
    Mcp(McpMode),
    /// Opens MCP sessions and reports what memory they cost while nobody uses them.
    McpIdle(McpIdleMode),
    /// `tools/call` of MCP over stdio; the server is started as a child and ended afterwards.
    McpStdio(McpStdioMode),
}

#[derive(Args)]
pub(crate) struct HttpMode {
    /// `http://ADDRESS:PORT/PATH`, a loopback address.
    pub(crate) url: Target,
    /// Body of a POST, JSON.
    #[arg(short, long)]
    pub(crate) data: Option<String>,
    /// Process id of the server, whose CPU time and memory are then reported with its children's.
    #[arg(long)]
    pub(crate) watch: Option<u32>,
    #[command(flatten)]
    pub(crate) limits: Limits,
}

#[derive(Args)]
pub(crate) struct McpMode {
    /// `http://ADDRESS:PORT/PATH`, a loopback address, for WebSocket too.
    pub(crate) url: Target,
    /// What carries the messages.
    #[arg(long, value_enum, default_value = "http")]
    pub(crate) over: Transport,
    #[command(flatten)]
    pub(crate) call: Call,
    /// Process id of the server, whose CPU time and memory are then reported with its children's.
    #[arg(long)]
    pub(crate) watch: Option<u32>,
    #[command(flatten)]
    pub(crate) limits: Limits,
}

#[derive(Args)]
pub(crate) struct McpIdleMode {
    /// `http://ADDRESS:PORT/PATH`, a loopback address, for WebSocket too.
    pub(crate) url: Target,
    /// What carries the messages.
    #[arg(long, value_enum, default_value = "http")]
    pub(crate) over: Transport,
    #[command(flatten)]
    pub(crate) call: Call,
    /// Sessions to open.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) sessions: u16,
    /// Process id of the server.
    #[arg(long)]
    pub(crate) watch: u32,
}

#[derive(Args)]
pub(crate) struct McpStdioMode {
    #[command(flatten)]
    pub(crate) call: Call,
    #[command(flatten)]
    pub(crate) limits: Limits,
    /// The server's command, after `--`.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<String>,
}

/// What carries MCP over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// Streamable HTTP.
    Http,
    /// HTTP+SSE: the URL is the stream's.
    Sse,
    /// WebSocket.
    Ws,
}

/// A call and its answer.
#[derive(Args)]
pub(crate) struct Call {
    /// How the caller speaks.
    #[arg(long, value_enum, default_value = "legacy")]
    era: Era,
    /// Tool to call.
    #[arg(long)]
    tool: String,
    /// Its arguments, a JSON object.
    #[arg(long, default_value = "{}", value_parser = json_object)]
    arguments: Map<String, Value>,
    /// What the text of every answer must be; by default anything but an error.
    #[arg(long)]
    expect: Option<String>,
}

impl Call {
    pub(crate) fn tool_call(&self) -> ToolCall {
        ToolCall::new(self.era, self.tool.clone(), &self.arguments, self.expect.clone())
    }
}

fn json_object(text: &str) -> serde_json::Result<Map<String, Value>> {
    serde_json::from_str(text)
}
