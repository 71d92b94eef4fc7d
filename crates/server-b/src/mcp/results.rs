//! Results of the tools, as they go over the wire. A doc comment is what the model reads in the output schema.

use std::collections::BTreeMap;

use ledger::{HistoryPage, Outcome, Recorded, Totals};
use models::{ConfigResponse, CostProvenance, FinishReason, ProcessResponse};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    defaults::{Changed, Defaults},
    exchange::{cost_provenance, rfc3339},
};

/// What `process_message` and `process_message_stream` answer.
#[derive(Serialize, JsonSchema)]
pub(super) struct ProcessedResult {
    /// Always true; a failure has `isError` set.
    success: bool,
    #[serde(flatten)]
    response: ProcessResponse,
}

impl ProcessedResult {
    pub(super) fn new(response: ProcessResponse) -> Self {
        Self { success: true, response }
    }
}

/// What `get_received_messages` answers.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReceivedResult {
    /// Messages received, not only those on this page.
    total_received: u64,
    /// Those that were answered.
    total_answered: u64,
    /// Tokens of all of them.
    total_tokens_used: u64,
    /// What all of them cost, in US dollars, as far as it is known.
    total_estimated_cost: f64,
    /// This page, oldest first.
    messages: Vec<ReceivedMessage>,
    /// Give it as `before` to read the page before this one; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<i64>,
}

/// A message and what became of it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReceivedMessage {
    /// Number of the message.
    id: i64,
    /// When it arrived, RFC 3339 in UTC.
    timestamp: String,
    /// What was asked.
    message: String,
    /// What became of it.
    status: ReceivedStatus,
    /// The answer, or as much of it as arrived; null when nothing did.
    ai_response: Option<String>,
    /// Full id of the model that was asked.
    model: String,
    /// Prompt and completion tokens together.
    tokens: u64,
    /// US dollars.
    cost: f64,
    /// `exact`, `estimated` or `unpriced` (then the cost is 0 and means "unknown").
    cost_provenance: CostProvenance,
    /// Seconds from the message to its end.
    processing_time: f64,
    /// Why the model stopped; with answered messages only.
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<FinishReason>,
    /// Stable name of the error; with failed messages only.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What became of a message.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ReceivedStatus {
    /// The model answered.
    Answered,
    /// There is no answer, or only a part of it.
    Failed,
    /// The caller went away.
    Cancelled,
    /// The server was killed before the end.
    Interrupted,
}

impl ReceivedResult {
    pub(super) fn new(page: HistoryPage) -> Self {
        let all = page.totals.all();
        let oldest = page.exchanges.last().map(|recorded| recorded.id);
        Self {
            total_received: all.requests,
            total_answered: all.answered,
            total_tokens_used: all.usage.total_tokens(),
            total_estimated_cost: all.cost.to_f64(),
            messages: page.exchanges.into_iter().rev().map(ReceivedMessage::new).collect(),
            next_before: oldest.filter(|_| page.more),
        }
    }
}

impl ReceivedMessage {
    fn new(Recorded { id, exchange }: Recorded) -> Self {
        let (status, finish_reason, error) = match exchange.outcome {
            Outcome::Answered { finish_reason } => (ReceivedStatus::Answered, Some(finish_reason), None),
            Outcome::Failed { code } => (ReceivedStatus::Failed, None, Some(code)),
            Outcome::Cancelled => (ReceivedStatus::Cancelled, None, None),
            Outcome::Interrupted | Outcome::Open => (ReceivedStatus::Interrupted, None, None),
        };
        // An answer may be empty; no answer is something else.
        let given = !exchange.answer.is_empty() || finish_reason.is_some();
        Self {
            id,
            timestamp: rfc3339(exchange.at),
            message: exchange.message,
            status,
            ai_response: given.then_some(exchange.answer),
            model: exchange.model,
            tokens: exchange.usage.total_tokens(),
            cost: exchange.cost.amount.to_f64(),
            cost_provenance: cost_provenance(exchange.cost.provenance),
            processing_time: rounded(exchange.duration.as_secs_f64()),
            finish_reason,
            error,
        }
    }
}

/// What `get_openai_stats` answers.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatisticsResult {
    /// The provider that answers now: `mock`, `openai` or `bedrock`. The figures are those of all that ever answered.
    provider: String,
    /// Messages received, also those without an answer.
    total_requests: u64,
    /// Messages that were answered.
    answered_requests: u64,
    /// Prompt and completion tokens together.
    total_tokens: u64,
    /// Tokens of everything sent to the models.
    total_prompt_tokens: u64,
    /// Tokens of the answers.
    total_completion_tokens: u64,
    /// US dollars, as far as the costs are known.
    estimated_total_cost: f64,
    /// Messages whose cost is unknown: their model has no listed price.
    unpriced_requests: u64,
    /// By full id of the model.
    model_usage: BTreeMap<String, ModelUsage>,
    /// Seconds from a message to its answer; null when nothing was answered yet.
    average_response_time: Option<f64>,
    /// When the last message arrived, RFC 3339 in UTC; null when there was none.
    last_request: Option<String>,
}

/// One model's part.
#[derive(Serialize, JsonSchema)]
struct ModelUsage {
    /// Messages for it.
    requests: u64,
    /// Prompt and completion tokens together.
    tokens: u64,
    /// US dollars, as far as the costs are known.
    cost: f64,
}

impl StatisticsResult {
    pub(super) fn new(provider: String, totals: &Totals) -> Self {
        let all = totals.all();
        let model_usage = totals.models.iter().map(|(model, sums)| {
            let tokens = sums.usage.total_tokens();
            (model.clone(), ModelUsage { requests: sums.requests, tokens, cost: sums.cost.to_f64() })
        });
        let average = all.answered_duration.as_secs_f64() / all.answered as f64;
        Self {
            provider,
            total_requests: all.requests,
            answered_requests: all.answered,
            total_tokens: all.usage.total_tokens(),
            total_prompt_tokens: all.usage.prompt_tokens,
            total_completion_tokens: all.usage.completion_tokens,
            estimated_total_cost: all.cost.to_f64(),
            unpriced_requests: all.unpriced,
            model_usage: model_usage.collect(),
            average_response_time: (all.answered > 0).then(|| rounded(average)),
            last_request: all.last_at.map(rfc3339),
        }
    }
}

/// What `configure_ai_model` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct ConfiguredResult {
    /// Always true; a failure has `isError` set, and changes nothing.
    success: bool,
    /// The defaults until now.
    previous: ConfigResponse,
    /// The defaults from now on.
    current: ConfigResponse,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl ConfiguredResult {
    pub(super) fn new(Changed { previous, current }: Changed, defaults: &Defaults) -> Self {
        let note = if previous == current {
            Some("nothing has changed: these were the defaults already".to_owned())
        } else if defaults.listed_price(&current.default_model).is_none() {
            let model = &current.default_model;
            Some(format!(
                "{model} has no listed price: what it costs is unknown, and counts as 0 (PRICES_FILE)"
            ))
        } else {
            None
        };
        Self { success: true, previous, current, note }
    }
}

/// Seconds with three decimals.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}
