//! What every provider can do.

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use cost_calculator::Usage;
use futures_util::stream::BoxStream;
use models::{FinishReason, Turn};

use crate::ProviderError;

/// A service that answers prompts. An implementation translates; it does not retry, price or record.
///
/// Dropping a future or a stream ends the request to the provider.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Answers `prompt` in one piece.
    async fn complete(&self, prompt: &Prompt) -> Result<Completion, ProviderError>;

    /// Answers `prompt` piece by piece. A stream that does not end with [`StreamItem::End`] ends with an error.
    async fn stream(&self, prompt: &Prompt) -> Result<CompletionStream, ProviderError>;

    /// Names of the models that can be asked, sorted.
    async fn models(&self) -> Result<Vec<String>, ProviderError>;

    /// Whether the provider can be reached and accepts our credential, without spending money.
    async fn check(&self) -> Check;
}

/// Which provider answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    /// Canned answers, no network.
    Mock,
    /// OpenAI or a server that speaks its API.
    OpenAi,
    /// AWS Bedrock.
    Bedrock,
}

impl ProviderKind {
    /// `mock`, `openai` or `bedrock`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mock => "mock",
            Self::OpenAi => "openai",
            Self::Bedrock => "bedrock",
        }
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for ProviderKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "mock" => Ok(Self::Mock),
            "openai" => Ok(Self::OpenAi),
            "bedrock" => Ok(Self::Bedrock),
            _ => Err("allowed are mock, openai and bedrock".to_owned()),
        }
    }
}

/// Everything a provider needs to answer one message.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Full id of the model.
    pub model: String,
    /// System prompt.
    pub system: String,
    /// Earlier turns, oldest first.
    pub history: Vec<Turn>,
    /// What to answer.
    pub message: String,
    /// Sampling temperature, 0.0 to 2.0.
    pub temperature: f64,
    /// Most tokens of the answer, at least 1.
    pub max_tokens: u32,
    /// W3C `traceparent` to send along, if the caller's request is traced.
    pub trace_parent: Option<String>,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The answer.
    pub text: String,
    /// How it ended.
    pub end: End,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The model as the provider names it, where that differs from what was asked (a dated snapshot, for instance).
    pub model: Option<String>,
    /// Tokens; `None` when the provider did not report them.
    pub usage: Option<Usage>,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
}

/// One item of a streamed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamItem {
    /// Text to append. Never empty.
    Text(String),
    /// The answer is complete. Nothing follows.
    End(End),
}

/// A streamed answer; dropping it ends the request to the provider.
pub type CompletionStream = BoxStream<'static, Result<StreamItem, ProviderError>>;

/// What a check of a provider found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Whether it has what it needs, its credential above all.
    pub configured: bool,
    /// Whether it answers.
    pub status: CheckStatus,
    /// What else there is to know.
    pub note: Option<String>,
}

/// Whether a provider answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckStatus {
    /// It does.
    Healthy,
    /// It does not; the text says why and what to do.
    Unhealthy(String),
    /// It was not asked.
    Unknown,
}
