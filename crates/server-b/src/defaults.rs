//! What a request that names no model, temperature or limit gets, and how it becomes a prompt.

use std::sync::Arc;

use cost_calculator::PriceList;
use models::{ConfigResponse, FieldError, ProcessRequest};
use providers::{Prompt, ProviderKind};
use telemetry::TraceParent;

use crate::{Config, body::InvalidBody};

const SYSTEM_PROMPT: &str = "You are a helpful AI assistant.";
const MOCK_MODEL: &str = "mock-model";

/// Values for what a request leaves out.
pub(crate) struct Defaults {
    provider: ProviderKind,
    model: String,
    temperature: f64,
    max_tokens: u32,
    max_tokens_limit: u32,
    prices: Arc<PriceList>,
}

impl Defaults {
    pub(crate) fn new(config: &Config, prices: Arc<PriceList>) -> Self {
        let provider = config.provider();
        let model = match provider {
            ProviderKind::Mock => MOCK_MODEL,
            ProviderKind::OpenAi => &config.openai_default_model,
            ProviderKind::Bedrock => &config.bedrock_default_model,
        };
        Self {
            provider,
            model: model.to_owned(),
            temperature: config.ai_temperature,
            max_tokens: config.ai_max_tokens,
            max_tokens_limit: config.ai_max_tokens_limit,
            prices,
        }
    }

    /// The prompt for a valid `request`.
    ///
    /// # Errors
    /// When it asks for more tokens than the configuration allows.
    pub(crate) fn prompt(
        &self,
        request: ProcessRequest,
        trace: Option<TraceParent>,
    ) -> Result<Prompt, InvalidBody> {
        let max_tokens = request.max_tokens.unwrap_or(self.max_tokens);
        if max_tokens > self.max_tokens_limit {
            let detail =
                format!("must be at most {} (AI_MAX_TOKENS_LIMIT), is {max_tokens}", self.max_tokens_limit);
            return Err(InvalidBody::Fields(vec![FieldError { field: "max_tokens".to_owned(), detail }]));
        }
        let named = request.model.as_deref().unwrap_or(&self.model);
        let model = match self.provider {
            ProviderKind::Mock => MOCK_MODEL,
            ProviderKind::OpenAi | ProviderKind::Bedrock => self.prices.full_id(named),
        };
        Ok(Prompt {
            model: model.to_owned(),
            system: request.context.unwrap_or_else(|| SYSTEM_PROMPT.to_owned()),
            history: request.history.unwrap_or_default(),
            message: request.message,
            temperature: request.temperature.unwrap_or(self.temperature),
            max_tokens,
            trace_parent: trace.map(|trace| trace.to_string()),
        })
    }

    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    pub(crate) fn config(&self) -> ConfigResponse {
        ConfigResponse {
            provider: self.provider.to_string(),
            default_model: self.model.clone(),
            temperature: self.temperature,
            max_tokens: self.max_tokens,
        }
    }
}
