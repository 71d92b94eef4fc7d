//! One upstream as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Secret, Text, Time};
use crate::config::values::At;

/// One MCP server, or several that do the same.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct UpstreamDocument {
    /// Where it is: http://, https:// (Streamable HTTP, or HTTP+SSE if the path ends in /sse), ws:// or wss://.
    pub(in crate::config) url: Option<Text>,
    /// Several places that do the same.
    pub(in crate::config) replicas: Option<At<Vec<Text>>>,
    /// How calls are spread over the replicas. Default: round_robin.
    pub(in crate::config) balance: Option<BalanceDocument>,
    /// A program that speaks MCP on its standard input and output, and its arguments.
    pub(in crate::config) command: Option<At<Vec<Text>>>,
    /// Environment variables of the program: `env:NAME`, `file:PATH` or the value. Of the gateway's own it sees PATH, HOME, LANG,
    /// TERM, USER, SHELL and TMPDIR.
    #[serde(default)]
    pub(in crate::config) environment: BTreeMap<String, Secret>,
    /// Working directory of the program.
    pub(in crate::config) directory: Option<Text>,
    /// Transport of the URL when it does not tell.
    pub(in crate::config) transport: Option<TransportDocument>,
    /// Key that is sent as `Authorization: Bearer …`: `env:NAME`, `file:PATH` or the key itself.
    pub(in crate::config) bearer: Option<Secret>,
    /// More headers: `env:NAME`, `file:PATH` or the value.
    #[serde(default)]
    pub(in crate::config) headers: BTreeMap<String, Secret>,
    /// What its names begin with; with an empty one they stay as they are. Default: the upstream's name.
    pub(in crate::config) prefix: Option<Text>,
    /// Who shares a connection to a server of the older era, which keeps state for each. Default: shared.
    pub(in crate::config) sessions: Option<SessionsDocument>,
    /// Protocol era to speak. Default: auto.
    pub(in crate::config) era: Option<EraDocument>,
    /// Longest wait until a connection can be used. Default: 10s.
    pub(in crate::config) connect_timeout: Option<Time>,
    /// Longest time for a call; progress extends it up to ten times as long. Default: 60s.
    pub(in crate::config) call_timeout: Option<Time>,
    /// How often a connection that is not used is asked whether it still lives. Default: 30s.
    pub(in crate::config) health_interval: Option<Time>,
    /// When calls stop being tried.
    pub(in crate::config) breaker: Option<BreakerDocument>,
    /// Calls at the same time. Default: 64.
    pub(in crate::config) concurrency: Option<At<u32>>,
    /// Calls that wait for their turn; more fail at once. Default: 256.
    pub(in crate::config) queue: Option<At<u32>>,
    /// When calls are repeated.
    pub(in crate::config) retry: Option<RetryDocument>,
    /// A program that nobody used for so long is stopped, and started again when it is needed. Default: never.
    pub(in crate::config) idle_stop: Option<Time>,
    /// Largest message that is accepted from it, in bytes. Default: 16777216.
    pub(in crate::config) max_message_bytes: Option<At<u32>>,
    /// Which of its tools clients may see and use, by their names there.
    pub(in crate::config) tools: Option<FilterDocument>,
    /// Which of its prompts clients may see and use, by their names there.
    pub(in crate::config) prompts: Option<FilterDocument>,
    /// Which of its resources clients may see and read, by their URIs there; also those that no list names.
    pub(in crate::config) resources: Option<FilterDocument>,
    /// Which of its resource templates clients may see, by the templates' text there.
    pub(in crate::config) templates: Option<FilterDocument>,
    /// Methods that the gateway does not know and passes on to this server as they come; `*` stands for any text. Rules and pins are
    /// not applied to them. Default: all if this is the only server and has neither rules nor pins, otherwise none.
    pub(in crate::config) methods: Option<Vec<Text>>,
    /// Keeps results of tools that say they are read-only. Default: nothing is kept.
    pub(in crate::config) cache: Option<CacheDocument>,
}

/// What is let through, and under which names. `*` in a pattern stands for any text. What is refused is in no list either.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct FilterDocument {
    /// Only what one of these patterns fits. Default: everything.
    pub(in crate::config) allow: Option<At<Vec<Text>>>,
    /// Not what one of these patterns fits, whatever `allow` says.
    #[serde(default)]
    pub(in crate::config) deny: Vec<Text>,
    /// Other names than those that the upstream gives: `{ name_there = "name_here" }`.
    #[serde(default)]
    pub(in crate::config) rename: BTreeMap<String, Text>,
}

/// How results of read-only tools are kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct CacheDocument {
    /// How long.
    pub(in crate::config) ttl: Time,
    /// Who shares them. Default: private.
    pub(in crate::config) scope: Option<ScopeDocument>,
}

/// Who shares what is kept.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum ScopeDocument {
    /// Each caller has its own: those who show the same key.
    Private,
    /// All callers.
    Public,
}

/// How calls are spread over replicas.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum BalanceDocument {
    /// One after the other.
    RoundRobin,
    /// Where the fewest calls are under way.
    LeastBusy,
}

/// How a URL is spoken to.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum TransportDocument {
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
pub(in crate::config) enum SessionsDocument {
    /// All clients that can do the same.
    Shared,
    /// Each client's session has its own.
    PerClient,
}

/// Which era of the protocol to speak.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum EraDocument {
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
pub(in crate::config) struct BreakerDocument {
    /// Failures in a row that open it. Default: 5.
    pub(in crate::config) failures: Option<At<u32>>,
    /// How long it stays open before one call is tried. Default: 60s.
    pub(in crate::config) open: Option<Time>,
}

/// When calls are repeated: only when they were surely not delivered, or their tools say that a repetition does no harm.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RetryDocument {
    /// Attempts in all. Default: 3.
    pub(in crate::config) attempts: Option<At<u32>>,
    /// Wait before the second attempt; it doubles. Default: 100ms.
    pub(in crate::config) base: Option<Time>,
    /// Longest wait. Default: 2s.
    pub(in crate::config) max: Option<Time>,
    /// Tools that may be repeated whatever they say of themselves; `*` stands for any text.
    #[serde(default)]
    pub(in crate::config) repeat: Vec<Text>,
    /// Tools that must not be repeated whatever they say of themselves.
    #[serde(default)]
    pub(in crate::config) never_repeat: Vec<Text>,
}
