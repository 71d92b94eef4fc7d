//! `POST /process`: the question and the answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_valid::{Validate, validation};

/// Longest `message`, in Unicode characters.
pub const MESSAGE_MAX_CHARS: usize = 10_000;
/// Longest `context`, in Unicode characters.
pub const CONTEXT_MAX_CHARS: usize = 5_000;
/// Most earlier turns that a request may carry.
pub const HISTORY_MAX_TURNS: usize = 200;
/// Longest earlier turn, in Unicode characters.
pub const TURN_MAX_CHARS: usize = 100_000;

/// One message for the model, with what it needs to know.
///
/// A field that is missing takes its default, so that validation can name every broken field at once instead of
/// stopping at the first; an empty `message` breaks a rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProcessRequest {
    /// What to ask, 1 to 10 000 characters.
    #[validate(custom = characters(1, MESSAGE_MAX_CHARS))]
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, min_length = 1, max_length = 10_000, example = "What is Python?")
    )]
    pub message: String,
    /// System prompt, at most 5 000 characters; the default is `You are a helpful AI assistant.`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(custom = optional(characters(0, CONTEXT_MAX_CHARS)))]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 5_000, example = "You are a helpful science teacher")
    )]
    pub context: Option<String>,
    /// Model: short name or full id; the default is the configured one (see `GET /config`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(custom = optional(characters(1, 2_048)))]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 2_048))]
    pub model: Option<String>,
    /// Sampling temperature, 0.0 to 2.0. Models that take none are called without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(custom = optional(temperature))]
    #[cfg_attr(feature = "openapi", schema(minimum = 0.0, maximum = 2.0))]
    pub temperature: Option<f64>,
    /// Most tokens that the answer may take, at least 1; the upper limit is server-b's `AI_MAX_TOKENS_LIMIT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(custom = optional(at_least_one))]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub max_tokens: Option<u32>,
    /// Earlier turns of the conversation, oldest first, at most 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate]
    #[validate(custom = optional(|turns: &Vec<Turn>| turn_count(turns)))]
    #[cfg_attr(feature = "openapi", schema(max_items = 200))]
    pub history: Option<Vec<Turn>>,
}

/// One earlier turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Turn {
    /// Who spoke.
    pub role: Role,
    /// What was said, 1 to 100 000 characters.
    #[validate(custom = characters(1, TURN_MAX_CHARS))]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 100_000))]
    pub content: String,
}

/// Who spoke in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Role {
    /// The person or program that asks.
    User,
    /// The model that answers.
    Assistant,
}

/// The model's answer, what it used and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProcessResponse {
    /// Always `success`; a failure is a problem document.
    pub status: ResponseStatus,
    /// The answer.
    pub ai_response: String,
    /// Full id of the model that was asked.
    pub model: String,
    /// Tokens and cost.
    pub usage: UsageReport,
    /// When the answer was complete, RFC 3339 in UTC.
    #[cfg_attr(feature = "openapi", schema(format = "date-time"))]
    pub timestamp: String,
    /// Seconds from the request to the answer, three decimals.
    pub processing_time: f64,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
}

/// The only status a [`ProcessResponse`] can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ResponseStatus {
    /// The model answered.
    Success,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FinishReason {
    /// The answer is complete.
    Stop,
    /// `max_tokens` or the model's context was used up: the answer is cut.
    Length,
    /// The provider's content filter cut the answer.
    ContentFilter,
    /// Anything else the provider reports.
    Other,
}

impl FinishReason {
    /// The name on the wire and in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::Other => "other",
        }
    }

    /// The reason of this name; a name that is not known is [`FinishReason::Other`].
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "content_filter" => Self::ContentFilter,
            _ => Self::Other,
        }
    }
}

/// Tokens and cost of one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageReport {
    /// Tokens of everything sent to the model, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens of the answer, reasoning included.
    pub completion_tokens: u64,
    /// The sum of both.
    pub total_tokens: u64,
    /// US dollars. `costProvenance` says how far to trust it.
    pub estimated_cost: f64,
    /// `exact`, `estimated` or `unpriced` (then the cost is 0 and means "unknown").
    pub cost_provenance: CostProvenance,
    /// Prompt tokens that the provider read from its cache, if it reports them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cached_prompt_tokens: Option<u64>,
    /// Prompt tokens that the provider wrote to its cache, if it reports them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cache_write_tokens: Option<u64>,
    /// Completion tokens spent on hidden reasoning, if the provider reports them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reasoning_tokens: Option<u64>,
}

/// How a cost was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CostProvenance {
    /// The provider counted the tokens and the price is listed.
    Exact,
    /// Tokens, or the price of a part of them, had to be estimated.
    Estimated,
    /// The model has no listed price: the cost is unknown, and shown as 0.
    Unpriced,
}

impl CostProvenance {
    /// The name on the wire and in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Estimated => "estimated",
            Self::Unpriced => "unpriced",
        }
    }

    /// The provenance of this name, if it is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "exact" => Some(Self::Exact),
            "estimated" => Some(Self::Estimated),
            "unpriced" => Some(Self::Unpriced),
            _ => None,
        }
    }
}

/// Counts Unicode characters, as JSON Schema does; `serde_valid`'s own rule counts grapheme clusters, of which one
/// can be arbitrarily long.
fn characters(min: usize, max: usize) -> impl Fn(&String) -> Result<(), validation::Error> {
    move |text| {
        // A string has at most as many characters as bytes: short ones need no counting.
        let count = if text.len() <= max { text.len() } else { text.chars().count() };
        if (min..=max).contains(&count) {
            Ok(())
        } else if min == 0 {
            rule(format!("must have at most {max} characters, has {count}"))
        } else {
            rule(format!("must have {min} to {max} characters, has {count}"))
        }
    }
}

fn temperature(value: &f64) -> Result<(), validation::Error> {
    if (0.0..=2.0).contains(value) { Ok(()) } else { rule(format!("must be 0.0 to 2.0, is {value}")) }
}

fn at_least_one(value: &u32) -> Result<(), validation::Error> {
    if *value >= 1 { Ok(()) } else { rule("must be at least 1, is 0".to_owned()) }
}

fn turn_count(turns: &[Turn]) -> Result<(), validation::Error> {
    if turns.len() <= HISTORY_MAX_TURNS {
        Ok(())
    } else {
        rule(format!("must have at most {HISTORY_MAX_TURNS} turns, has {}", turns.len()))
    }
}

fn optional<T>(
    check: impl Fn(&T) -> Result<(), validation::Error>,
) -> impl Fn(&Option<T>) -> Result<(), validation::Error> {
    move |value| value.as_ref().map_or(Ok(()), &check)
}

fn rule(text: String) -> Result<(), validation::Error> {
    Err(validation::Error::Custom(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_characters_not_in_bytes_or_graphemes() {
        let request = |message: String| ProcessRequest { message, ..Default::default() };
        assert!(request("é".repeat(10_000)).validate().is_ok());
        assert!(request("é".repeat(10_001)).validate().is_err());
        // one grapheme cluster of 10 001 characters
        assert!(request(format!("a{}", "\u{301}".repeat(10_000))).validate().is_err());
    }

    #[test]
    fn every_broken_field_is_named_at_once() {
        let request = ProcessRequest {
            message: String::new(),
            context: Some("x".repeat(5_001)),
            model: Some(String::new()),
            temperature: Some(2.1),
            max_tokens: Some(0),
            history: Some(vec![Turn { role: Role::User, content: String::new() }; 201]),
        };
        let errors = request.validate().unwrap_err().to_string();
        for field in ["message", "context", "model", "temperature", "max_tokens", "history"] {
            assert!(errors.contains(field), "{field} is missing in {errors}");
        }
    }

    #[test]
    fn the_answer_has_the_names_that_other_programs_rely_on() {
        let response = ProcessResponse {
            status: ResponseStatus::Success,
            ai_response: "hello".into(),
            model: "gpt-4o-mini".into(),
            usage: UsageReport {
                prompt_tokens: 12,
                completion_tokens: 30,
                total_tokens: 42,
                estimated_cost: 0.000_019_8,
                cost_provenance: CostProvenance::Exact,
                cached_prompt_tokens: None,
                cache_write_tokens: None,
                reasoning_tokens: None,
            },
            timestamp: "2026-01-31T12:00:00.000Z".into(),
            processing_time: 1.234,
            finish_reason: FinishReason::Stop,
        };
        assert_eq!(
            serde_json::to_value(response).unwrap(),
            serde_json::json!({
                "status": "success", "aiResponse": "hello", "model": "gpt-4o-mini",
                "usage": {"promptTokens": 12, "completionTokens": 30, "totalTokens": 42, "estimatedCost": 0.0000198, "costProvenance": "exact"},
                "timestamp": "2026-01-31T12:00:00.000Z", "processingTime": 1.234, "finishReason": "stop"
            })
        );
    }
}
