//! Results of the tools, as they go over the wire. A doc comment is what the model reads in the output schema.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use ledger::{HistoryPage, Outcome, Recorded, Totals};
use models::{FinishReason, UsageReport};
use schemars::JsonSchema;
use serde::Serialize;

use crate::Sent;

const OURSELVES: &str = "Server A";
const RESPONDER: &str = "Server B";

/// What `send_message_to_ai` and `send_message_stream` answer.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SentResult {
    /// Always true; a failure has `isError` set.
    success: bool,
    /// The message that was sent.
    sent_message: String,
    /// The model's answer.
    ai_response: String,
    /// Full id of the model that answered.
    model: String,
    /// Tokens and cost in US dollars.
    usage: UsageReport,
    /// When the answer was complete, RFC 3339 in UTC.
    timestamp: String,
    /// Seconds that Server B needed for the answer.
    processing_time: f64,
    /// Why the model stopped; `length` means that the answer is cut.
    finish_reason: FinishReason,
    /// Give it as `conversation_id` to continue this conversation.
    conversation_id: String,
    /// Something went wrong beside the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

impl SentResult {
    pub(crate) fn new(message: String, sent: Sent) -> Self {
        let Sent { response, conversation, warning } = sent;
        Self {
            success: true,
            sent_message: message,
            ai_response: response.ai_response,
            model: response.model,
            usage: response.usage,
            timestamp: response.timestamp,
            processing_time: response.processing_time,
            finish_reason: response.finish_reason,
            conversation_id: conversation,
            warning,
        }
    }
}

/// What `get_conversation_history` answers.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryResult {
    /// Messages sent and answers received, not only those on this page.
    total_messages: u64,
    /// Answers received.
    #[serde(rename = "totalAIResponses")]
    total_ai_responses: u64,
    /// Tokens of all of them.
    total_tokens_used: u64,
    /// What all of them cost, in US dollars, as far as it is known.
    total_estimated_cost: f64,
    /// This page, oldest first.
    history: Vec<HistoryEntry>,
    /// Give it as `before` to read the page before this one; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<i64>,
}

/// A message or an answer.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct HistoryEntry {
    /// Number of the message; its answer has the same.
    id: i64,
    /// RFC 3339 in UTC.
    timestamp: String,
    /// `Server A` or `Server B`.
    from: &'static str,
    /// `Server B` or `Server A`.
    to: &'static str,
    /// What was said.
    message: String,
    /// Whether a model said it.
    ai_generated: bool,
    /// Full id of the model; with answers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// Tokens of message and answer together; with answers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
    /// US dollars; with answers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    /// The conversation it belongs to.
    conversation_id: Option<String>,
    /// Why there is no answer; with messages that got none.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl HistoryResult {
    pub(crate) fn new(page: HistoryPage) -> Self {
        let all = page.totals.all();
        let oldest = page.exchanges.last().map(|recorded| recorded.id);
        Self {
            total_messages: all.requests + all.answered,
            total_ai_responses: all.answered,
            total_tokens_used: all.usage.total_tokens(),
            total_estimated_cost: all.cost.to_f64(),
            history: page.exchanges.into_iter().rev().flat_map(entries).collect(),
            next_before: oldest.filter(|_| page.more),
        }
    }
}

/// The message, and its answer if there is one.
fn entries(recorded: Recorded) -> impl Iterator<Item = HistoryEntry> {
    let Recorded { id, exchange } = recorded;
    let answered = matches!(exchange.outcome, Outcome::Answered { .. });
    let took = SignedDuration::try_from(exchange.duration).unwrap_or_default();
    let answer = answered.then(|| HistoryEntry {
        id,
        timestamp: rfc3339(exchange.at.checked_add(took).unwrap_or(exchange.at)),
        from: RESPONDER,
        to: OURSELVES,
        message: exchange.answer,
        ai_generated: true,
        model: Some(exchange.model),
        tokens: Some(exchange.usage.total_tokens()),
        cost: Some(exchange.cost.amount.to_f64()),
        conversation_id: exchange.conversation.clone(),
        error: None,
    });
    let message = HistoryEntry {
        id,
        timestamp: rfc3339(exchange.at),
        from: OURSELVES,
        to: RESPONDER,
        message: exchange.message,
        ai_generated: false,
        model: None,
        tokens: None,
        cost: None,
        conversation_id: exchange.conversation,
        error: why_unanswered(exchange.outcome),
    };
    std::iter::once(message).chain(answer)
}

fn why_unanswered(outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::Answered { .. } => None,
        Outcome::Failed { code } => Some(code),
        Outcome::Cancelled => Some("cancelled".to_owned()),
        Outcome::Interrupted | Outcome::Open => Some("interrupted".to_owned()),
    }
}

/// What `get_ai_usage_stats` answers.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatisticsResult {
    /// Messages sent, also those without an answer.
    total_requests: u64,
    /// Prompt and completion tokens together.
    total_tokens: u64,
    /// Tokens of everything sent to the models.
    total_prompt_tokens: u64,
    /// Tokens of the answers.
    total_completion_tokens: u64,
    /// US dollars, as far as the costs are known.
    estimated_total_cost: f64,
    /// Messages whose cost is unknown: their model has no listed price, or how they ended is not known.
    unpriced_requests: u64,
    /// By full id of the model; `unknown` when no answer told which it was.
    model_usage: BTreeMap<String, ModelUsage>,
    /// Seconds from a message to its answer, retries included; null when nothing was answered yet.
    average_response_time: Option<f64>,
    /// When the last message was sent, RFC 3339 in UTC; null when there was none.
    last_request: Option<String>,
}

/// One model's part.
#[derive(Serialize, JsonSchema)]
struct ModelUsage {
    /// Messages sent to it.
    requests: u64,
    /// Prompt and completion tokens together.
    tokens: u64,
    /// US dollars, as far as the costs are known.
    cost: f64,
}

impl StatisticsResult {
    pub(crate) fn new(totals: &Totals) -> Self {
        let all = totals.all();
        let model_usage = totals.models.iter().map(|(model, sums)| {
            let tokens = sums.usage.total_tokens();
            (model.clone(), ModelUsage { requests: sums.requests, tokens, cost: sums.cost.to_f64() })
        });
        let average = all.answered_duration.as_secs_f64() / all.answered as f64;
        Self {
            total_requests: all.requests,
            total_tokens: all.usage.total_tokens(),
            total_prompt_tokens: all.usage.prompt_tokens,
            total_completion_tokens: all.usage.completion_tokens,
            estimated_total_cost: all.cost.to_f64(),
            unpriced_requests: all.unpriced,
            model_usage: model_usage.collect(),
            average_response_time: (all.answered > 0).then(|| (average * 1e3).round() / 1e3),
            last_request: all.last_at.map(rfc3339),
        }
    }
}

pub(crate) fn rfc3339(at: Timestamp) -> String {
    format!("{at:.3}")
}
