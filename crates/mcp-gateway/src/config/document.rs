//! The TOML file as it is written. The comments are what editors show.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::At;

type Text = At<String>;
/// A time such as `500ms`, `10s`, `5m` or `1h`.
type Time = At<String>;
/// `env:NAME`, `file:PATH`, or the value itself with its `${NAME}` put in.
type Secret = At<String>;

/// Configuration of mcp-gateway.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "mcp-gateway")]
pub(super) struct Document {
    /// Where a schema-aware editor finds the schema; not used otherwise.
    #[serde(rename = "$schema")]
    #[expect(dead_code, reason = "for editors")]
    pub(super) schema: Option<String>,
    /// Address and port to listen on. Default: 127.0.0.1:8080.
    pub(super) listen: Option<Text>,
    /// What stands between an upstream's name and a tool's. Default: `__`.
    pub(super) separator: Option<Text>,
    /// Seals what clients must give back; at least 32 characters. Gateways that share it understand each other's clients.
    /// `env:NAME`, `file:PATH` or the key itself. Default: another one at each start.
    pub(super) state_key: Option<Secret>,
    /// The MCP servers behind the gateway, by name.
    #[serde(default)]
    pub(super) upstream: BTreeMap<String, At<UpstreamDocument>>,
}

/// One MCP server, or several that do the same.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpstreamDocument {
    /// Where it is: http://, https:// (Streamable HTTP, or HTTP+SSE if the path ends in /sse), ws:// or wss://.
    pub(super) url: Option<Text>,
    /// Several places that do the same.
    pub(super) replicas: Option<At<Vec<Text>>>,
    /// How calls are spread over the replicas. Default: round_robin.
    pub(super) balance: Option<BalanceDocument>,
    /// A program that speaks MCP on its standard input and output, and its arguments.
    pub(super) command: Option<At<Vec<Text>>>,
    /// Environment variables of the program: `env:NAME`, `file:PATH` or the value. Of the gateway's own it sees PATH, HOME, LANG,
    /// TERM, USER, SHELL and TMPDIR.
    #[serde(default)]
    pub(super) environment: BTreeMap<String, Secret>,
    /// Working directory of the program.
    pub(super) directory: Option<Text>,
    /// Transport of the URL when it does not tell.
    pub(super) transport: Option<TransportDocument>,
    /// Key that is sent as `Authorization: Bearer …`: `env:NAME`, `file:PATH` or the key itself.
    pub(super) bearer: Option<Secret>,
    /// More headers: `env:NAME`, `file:PATH` or the value.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Secret>,
    /// What its names begin with; with an empty one they stay as they are. Default: the upstream's name.
    pub(super) prefix: Option<Text>,
    /// Who shares a connection to a server of the older era, which keeps state for each. Default: shared.
    pub(super) sessions: Option<SessionsDocument>,
    /// Protocol era to speak. Default: auto.
    pub(super) era: Option<EraDocument>,
    /// Longest wait until a connection can be used. Default: 10s.
    pub(super) connect_timeout: Option<Time>,
    /// Longest time for a call; progress extends it up to ten times as long. Default: 60s.
    pub(super) call_timeout: Option<Time>,
    /// How often a connection that is not used is asked whether it still lives. Default: 30s.
    pub(super) health_interval: Option<Time>,
    /// When calls stop being tried.
    pub(super) breaker: Option<BreakerDocument>,
    /// Calls at the same time. Default: 64.
    pub(super) concurrency: Option<At<u32>>,
    /// Calls that wait for their turn; more fail at once. Default: 256.
    pub(super) queue: Option<At<u32>>,
    /// When calls are repeated.
    pub(super) retry: Option<RetryDocument>,
    /// A program that nobody used for so long is stopped, and started again when it is needed. Default: never.
    pub(super) idle_stop: Option<Time>,
    /// Largest message that is accepted from it, in bytes. Default: 16777216.
    pub(super) max_message_bytes: Option<At<u32>>,
}

/// How calls are spread over replicas.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum BalanceDocument {
    /// One after the other.
    RoundRobin,
    /// Where the fewest calls are under way.
    LeastBusy,
}

/// How a URL is spoken to.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TransportDocument {
    /// Streamable HTTP.
    Http,
    /// HTTP+SSE, of 2024-11-05.
    Sse,
    /// WebSocket.
    Websocket,
}

/// Who shares a connection with whom.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SessionsDocument {
    /// All clients that can do the same.
    Shared,
    /// Each client's session has its own.
    PerClient,
}

/// Which era of the protocol to speak.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum EraDocument {
    /// What the server knows, preferring the client's.
    Auto,
    /// 2026-07-28.
    Modern,
    /// 2025-11-25 and earlier.
    Legacy,
}

/// When calls stop being tried.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BreakerDocument {
    /// Failures in a row that open it. Default: 5.
    pub(super) failures: Option<At<u32>>,
    /// How long it stays open before one call is tried. Default: 60s.
    pub(super) open: Option<Time>,
}

/// When calls are repeated: only when they were surely not delivered, or their tools say that a repetition does no harm.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryDocument {
    /// Attempts in all. Default: 3.
    pub(super) attempts: Option<At<u32>>,
    /// Wait before the second attempt; it doubles. Default: 100ms.
    pub(super) base: Option<Time>,
    /// Longest wait. Default: 2s.
    pub(super) max: Option<Time>,
    /// Tools that may be repeated whatever they say of themselves; `*` stands for any text.
    #[serde(default)]
    pub(super) repeat: Vec<String>,
    /// Tools that must not be repeated whatever they say of themselves.
    #[serde(default)]
    pub(super) never_repeat: Vec<String>,
}
