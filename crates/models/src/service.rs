//! `GET /health`, `GET /models`, `GET /config`: what server-b says about itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answer of `GET /health`. A caller without a key, where one is needed, sees neither provider nor counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthResponse {
    /// `degraded` when the provider cannot answer.
    pub status: HealthStatus,
    /// Always `Server B (AI Responder)`.
    pub server: String,
    /// Now, RFC 3339 in UTC.
    pub timestamp: String,
    /// `mock`, `openai` or `bedrock`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub provider: Option<String>,
    /// Messages answered since the ledger was made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub messages_processed: Option<u64>,
    /// State of the provider.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ai: Option<AiHealth>,
    /// State of the ledger; nothing is answered that it cannot record.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ledger: Option<AiStatus>,
}

/// Whether server-b can do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum HealthStatus {
    /// The provider is configured and, as far as is known, answers; the ledger can be written.
    Healthy,
    /// One of them cannot do its work.
    Degraded,
}

/// State of the model provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AiHealth {
    /// Whether the provider has what it needs, its credential above all.
    pub configured: bool,
    /// What the last check found.
    pub status: AiStatus,
    /// Why it is unhealthy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AiStatus {
    /// It answers.
    Healthy,
    /// It does not answer, or refuses the credential.
    Unhealthy,
    /// It was not asked: a check would cost money or need more rights than a call.
    Unknown,
}

/// Answer of `GET /models`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelsResponse {
    /// `mock`, `openai` or `bedrock`.
    pub provider: String,
    /// Names that `model` of a request may take, sorted.
    pub models: Vec<String>,
    /// The model of a request that names none.
    pub default: String,
    /// What else there is to know, for instance that the list is not complete.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

/// Answer of `GET /config`. It never has a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConfigResponse {
    /// `mock`, `openai` or `bedrock`.
    pub provider: String,
    /// The model of a request that names none.
    pub default_model: String,
    /// The temperature of a request that names none.
    pub temperature: f64,
    /// The `max_tokens` of a request that names none.
    pub max_tokens: u32,
}
