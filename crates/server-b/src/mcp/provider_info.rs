//! The result of `get_provider_info`. A doc comment is what the model reads in the output schema.

use models::{CONTEXT_MAX_CHARS, ConfigResponse, HISTORY_MAX_TURNS, MESSAGE_MAX_CHARS, ModelsResponse};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    defaults::{Defaults, ListedPrice},
    error::ApiError,
};

/// What `get_provider_info` answers.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProviderInfo {
    /// The defaults of a message that names no model, temperature or limit.
    #[serde(flatten)]
    defaults: ConfigResponse,
    /// What the default model costs; null when it has no listed price.
    default_model_price: Option<Price>,
    /// Names that `model` may take, sorted; null when the provider does not tell.
    models: Option<Vec<String>>,
    /// About that list: for instance that it is not complete, or why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    models_note: Option<String>,
    /// What a message may ask for.
    limits: Limits,
}

/// A listed price.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Price {
    /// US dollars for 1 000 tokens sent to the model.
    prompt_usd_per_1k_tokens: f64,
    /// US dollars for 1 000 tokens of an answer.
    completion_usd_per_1k_tokens: f64,
}

/// What a message may ask for.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Limits {
    /// Longest `message`, in characters.
    message_max_chars: usize,
    /// Longest `context`, in characters.
    context_max_chars: usize,
    /// Most earlier turns in `history`.
    history_max_turns: usize,
    /// Largest `max_tokens`.
    max_tokens_limit: u32,
}

impl ProviderInfo {
    pub(super) fn new(defaults: &Defaults, models: Result<ModelsResponse, ApiError>) -> Self {
        let config = defaults.config();
        let (models, models_note) = match models {
            Ok(list) => (Some(list.models), list.note),
            Err(error) => (None, Some(error.detail())),
        };
        Self {
            default_model_price: defaults.listed_price(&config.default_model).map(Price::new),
            defaults: config,
            models,
            models_note,
            limits: Limits {
                message_max_chars: MESSAGE_MAX_CHARS,
                context_max_chars: CONTEXT_MAX_CHARS,
                history_max_turns: HISTORY_MAX_TURNS,
                max_tokens_limit: defaults.max_tokens_limit(),
            },
        }
    }
}

impl Price {
    fn new(ListedPrice { prompt, completion }: ListedPrice) -> Self {
        Self { prompt_usd_per_1k_tokens: prompt, completion_usd_per_1k_tokens: completion }
    }
}
