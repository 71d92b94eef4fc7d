//! What server-b counts, for Prometheus (`GET /metrics`).

use std::{
    borrow::Cow,
    sync::atomic::{AtomicI64, AtomicU64},
    time::Duration,
};

use cost_calculator::Provenance;
use ledger::{Exchange, Outcome};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use providers::ProviderKind;

/// Upper ends of the buckets of request durations, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 120.0];

/// Counters of one server.
pub(crate) struct Metrics {
    registry: Registry,
    provider: ProviderKind,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    tool_calls: Family<ToolCallLabels, Counter>,
    tool_durations: Family<ToolLabels, Histogram>,
    calls: Family<CallLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    cost: Counter<f64, AtomicU64>,
    unpriced: Counter,
    /// Messages that are being answered.
    pub(crate) in_flight: Gauge<i64, AtomicI64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ToolCallLabels {
    tool: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ToolLabels {
    tool: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    provider: &'static str,
    outcome: Cow<'static, str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    provider: &'static str,
    kind: &'static str,
}

impl Metrics {
    pub(crate) fn new(provider: ProviderKind) -> Self {
        let mut registry = Registry::with_prefix("server_b");
        let durations = Family::<RouteLabels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let tool_durations =
            Family::<ToolLabels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let metrics = Self {
            provider,
            requests: Family::default(),
            durations,
            tool_calls: Family::default(),
            tool_durations,
            calls: Family::default(),
            tokens: Family::default(),
            cost: Counter::default(),
            unpriced: Counter::default(),
            in_flight: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time to the response; of a stream, to its first byte",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        registry.register("mcp_tool_calls", "Tool calls by outcome", metrics.tool_calls.clone());
        registry.register_with_unit(
            "mcp_tool_call_duration",
            "Time to the result of a tool call",
            Unit::Seconds,
            metrics.tool_durations.clone(),
        );
        registry.register("provider_calls", "Calls to the provider by outcome", metrics.calls.clone());
        registry.register("tokens", "Tokens used, prompt and completion", metrics.tokens.clone());
        registry.register("cost_usd", "US dollars spent, as far as prices are known", metrics.cost.clone());
        registry.register("unpriced_calls", "Calls whose cost is unknown", metrics.unpriced.clone());
        registry.register("messages_in_flight", "Messages being answered", metrics.in_flight.clone());
        Self { registry, ..metrics }
    }

    pub(crate) fn request(&self, method: &'static str, route: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
        self.durations.get_or_create(&RouteLabels { route }).observe(took.as_secs_f64());
    }

    /// Counts a tool call; its outcome is `answered` or the code of its error.
    pub(crate) fn tool_call(&self, tool: &'static str, outcome: &'static str, took: Duration) {
        self.tool_calls.get_or_create(&ToolCallLabels { tool, outcome }).inc();
        self.tool_durations.get_or_create(&ToolLabels { tool }).observe(took.as_secs_f64());
    }

    /// Counts a call that is over.
    pub(crate) fn call(&self, exchange: &Exchange) {
        let outcome = match &exchange.outcome {
            Outcome::Answered { .. } => Cow::Borrowed("answered"),
            Outcome::Failed { code } => Cow::Owned(code.clone()),
            Outcome::Cancelled => Cow::Borrowed("cancelled"),
            Outcome::Interrupted | Outcome::Open => Cow::Borrowed("interrupted"),
        };
        let provider = self.provider.as_str();
        self.calls.get_or_create(&CallLabels { provider, outcome }).inc();
        let usage = &exchange.usage;
        for (kind, tokens) in [("prompt", usage.prompt_tokens), ("completion", usage.completion_tokens)] {
            self.tokens.get_or_create(&TokenLabels { provider, kind }).inc_by(tokens);
        }
        self.cost.inc_by(exchange.cost.amount.to_f64());
        if exchange.cost.provenance == Provenance::Unpriced {
            self.unpriced.inc();
        }
    }

    /// Everything in the OpenMetrics text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
