//! The TOML file as it is written. The comments are what editors show.

mod pipeline;
mod upstream;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::At;

pub(super) use pipeline::{OnErrorDocument, PipelineDocument, StageDocument};
pub(super) use upstream::{
    BalanceDocument, BreakerDocument, CacheDocument, EraDocument, FilterDocument, RetryDocument,
    ScopeDocument, SessionsDocument, TransportDocument, UpstreamDocument,
};

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
    /// Which tools clients see. Default: all.
    pub(super) expose: Option<ExposeDocument>,
    /// Lock file with the tools that were approved (`mcp-gateway pins approve`). A tool that is not in it, or is defined otherwise now, is
    /// withheld. Default: none, and all tools are let through.
    pub(super) pins: Option<Text>,
    /// SQLite file in which runs of pipelines are written down, so that they can be resumed after a crash; `memory`: nowhere.
    /// Default, when there are pipelines: mcp-gateway-ID.db in the user's data folder, where ID is made from the path of this file, so that
    /// each configuration has its own.
    pub(super) ledger: Option<Text>,
    /// Most memory for results that are kept, of all upstreams together. Default: 67108864.
    pub(super) cache_max_bytes: Option<At<u32>>,
    /// The tool `batch`, which makes many calls at once. It is there when this section is.
    pub(super) batch: Option<BatchDocument>,
    /// Where every request is written down, a line of JSON for each. Default: nowhere.
    pub(super) access_log: Option<AccessLogDocument>,
    /// The MCP servers behind the gateway, by name.
    #[serde(default)]
    pub(super) upstream: BTreeMap<String, At<UpstreamDocument>>,
    /// Tools that call other tools in stages, by name.
    #[serde(default)]
    pub(super) pipeline: BTreeMap<String, At<PipelineDocument>>,
}

/// Which tools clients see.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ExposeDocument {
    /// All.
    All,
    /// Two, `find_tool` and `call_tool`, which find the others and call them.
    Search,
}

/// The tool `batch`, which makes many calls at once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchDocument {
    /// Most calls in one batch. Default: 100.
    pub(super) max_calls: Option<At<u32>>,
    /// Calls at the same time. Default: 32.
    pub(super) concurrency: Option<At<u32>>,
    /// Longest time for all calls of a batch together; what has no answer by then is told as a time-out. Default: 30s.
    pub(super) timeout: Option<Time>,
}

/// Where every request is written down.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessLogDocument {
    /// The file, readable by its owner alone.
    pub(super) file: Text,
    /// Size at which another file is begun; one older one is kept, with `.1` after its name. Default: 10485760.
    pub(super) max_bytes: Option<At<u32>>,
    /// Whether what is asked and answered is written too, with personal data masked. Default: false.
    #[serde(default)]
    pub(super) bodies: bool,
    /// More that is masked: regular expressions.
    #[serde(default)]
    pub(super) mask: Vec<Text>,
}
