//! What a request that names no model, temperature or limit gets, how that is changed, and how a request becomes a prompt.

use std::sync::{Arc, PoisonError, RwLock};

use cost_calculator::{PriceList, Provenance, Usage};
use models::{ConfigResponse, FieldError, ProcessRequest};
use providers::{Prompt, ProviderKind};
use telemetry::TraceParent;

use crate::{Config, body::InvalidBody, config::model_name};

const SYSTEM_PROMPT: &str = "You are a helpful AI assistant.";
const MOCK_MODEL: &str = "mock-model";
/// What a listed price is shown for, in tokens.
const PRICED_TOKENS: u64 = 1_000;

/// Values for what a request leaves out. They change while the server runs, all at once or not at all.
pub(crate) struct Defaults {
    provider: ProviderKind,
    values: RwLock<Arc<Values>>,
    max_tokens_limit: u32,
    prices: Arc<PriceList>,
}

#[derive(Clone)]
struct Values {
    model: String,
    temperature: f64,
    max_tokens: u32,
}

/// New values that keep the rules of a request; what is `None` stays.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) model: Option<String>,
    pub(crate) temperature: Option<f64>,
    pub(crate) max_tokens: Option<u32>,
}

/// The values before a change and after it.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) previous: ConfigResponse,
    pub(crate) current: ConfigResponse,
}

/// Listed price of a model, in US dollars per 1 000 tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ListedPrice {
    pub(crate) prompt: f64,
    pub(crate) completion: f64,
}

impl Defaults {
    pub(crate) fn new(config: &Config, prices: Arc<PriceList>) -> Self {
        let provider = config.provider();
        let model = match provider {
            ProviderKind::Mock => MOCK_MODEL,
            ProviderKind::OpenAi => &config.openai_default_model,
            ProviderKind::Bedrock => &config.bedrock_default_model,
        };
        let values = Values {
            model: model.to_owned(),
            temperature: config.ai_temperature,
            max_tokens: config.ai_max_tokens,
        };
        let values = RwLock::new(Arc::new(values));
        Self { provider, values, max_tokens_limit: config.ai_max_tokens_limit, prices }
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
        let values = self.values();
        let max_tokens = request.max_tokens.unwrap_or(values.max_tokens);
        self.check_tokens(max_tokens)?;
        let named = request.model.as_deref().unwrap_or(&values.model);
        let model = match self.provider {
            ProviderKind::Mock => MOCK_MODEL,
            ProviderKind::OpenAi | ProviderKind::Bedrock => self.prices.full_id(named),
        };
        Ok(Prompt {
            model: model.to_owned(),
            system: request.context.unwrap_or_else(|| SYSTEM_PROMPT.to_owned()),
            history: request.history.unwrap_or_default(),
            message: request.message,
            temperature: request.temperature.unwrap_or(values.temperature),
            max_tokens,
            trace_parent: trace.map(|trace| trace.to_string()),
        })
    }

    /// Changes what requests from now on get. Nothing is written down: a restart brings the configured values back.
    ///
    /// # Errors
    /// When a new value is not allowed here; then nothing has changed.
    pub(crate) fn change(&self, changes: Changes) -> Result<Changed, InvalidBody> {
        if let Some(model) = &changes.model {
            self.check_model(model)?;
        }
        if let Some(max_tokens) = changes.max_tokens {
            self.check_tokens(max_tokens)?;
        }
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        let previous = values.clone();
        let current = Arc::new(Values {
            model: changes.model.unwrap_or_else(|| previous.model.clone()),
            temperature: changes.temperature.unwrap_or(previous.temperature),
            max_tokens: changes.max_tokens.unwrap_or(previous.max_tokens),
        });
        values.clone_from(&current);
        drop(values);
        Ok(Changed { previous: self.shown(&previous), current: self.shown(&current) })
    }

    pub(crate) fn config(&self) -> ConfigResponse {
        self.shown(&self.values())
    }

    /// The largest `max_tokens` of a request.
    pub(crate) fn max_tokens_limit(&self) -> u32 {
        self.max_tokens_limit
    }

    /// What `model` costs; `None`, not zero, when it has no listed price.
    pub(crate) fn listed_price(&self, model: &str) -> Option<ListedPrice> {
        let price = |usage: Usage| {
            let cost = self.prices.cost(model, &usage);
            (cost.provenance != Provenance::Unpriced).then(|| cost.amount.to_f64())
        };
        let prompt = price(Usage { prompt_tokens: PRICED_TOKENS, ..Usage::default() })?;
        let completion = price(Usage { completion_tokens: PRICED_TOKENS, ..Usage::default() })?;
        Some(ListedPrice { prompt, completion })
    }

    fn values(&self) -> Arc<Values> {
        self.values.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn shown(&self, values: &Values) -> ConfigResponse {
        ConfigResponse {
            provider: self.provider.to_string(),
            default_model: values.model.clone(),
            temperature: values.temperature,
            max_tokens: values.max_tokens,
        }
    }

    fn check_tokens(&self, max_tokens: u32) -> Result<(), InvalidBody> {
        if max_tokens <= self.max_tokens_limit {
            return Ok(());
        }
        let limit = self.max_tokens_limit;
        Err(broken("max_tokens", format!("must be at most {limit} (AI_MAX_TOKENS_LIMIT), is {max_tokens}")))
    }

    fn check_model(&self, model: &str) -> Result<(), InvalidBody> {
        if self.provider == ProviderKind::Mock && model != MOCK_MODEL {
            return Err(broken("model", format!("must be {MOCK_MODEL}: the mock provider has no other")));
        }
        model_name(model).map(drop).map_err(|rule| broken("model", rule))
    }
}

fn broken(field: &str, detail: String) -> InvalidBody {
    InvalidBody::Fields(vec![FieldError { field: field.to_owned(), detail }])
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn defaults(provider: &str) -> Defaults {
        let config =
            Config::parse_from(["server-b", "--ai-provider", provider, "--ai-max-tokens-limit=5000"]);
        Defaults::new(&config, Arc::new(PriceList::built_in()))
    }

    fn asked(defaults: &Defaults) -> Prompt {
        let request = ProcessRequest { message: "a".to_owned(), ..ProcessRequest::default() };
        defaults.prompt(request, None).unwrap()
    }

    #[test]
    fn a_request_gets_what_was_changed_and_keeps_what_it_names() {
        let defaults = defaults("openai");
        let model = Some("gpt-4o".to_owned());
        let changed = defaults.change(Changes { model, max_tokens: Some(5_000), temperature: None }).unwrap();
        assert_eq!((changed.previous.default_model.as_str(), changed.previous.max_tokens), ("gpt-4", 1_000));
        assert_eq!(changed.current, defaults.config());
        let prompt = asked(&defaults);
        assert_eq!((prompt.model.as_str(), prompt.max_tokens, prompt.temperature), ("gpt-4o", 5_000, 0.7));
        let named = ProcessRequest { model: Some("gpt-4".to_owned()), ..ProcessRequest::default() };
        assert_eq!(defaults.prompt(named, None).unwrap().model, "gpt-4");
    }

    #[test]
    fn a_change_that_is_not_allowed_changes_nothing() {
        let wrong = |model: Option<&str>, max_tokens| Changes {
            model: model.map(str::to_owned),
            max_tokens,
            temperature: Some(0.1),
        };
        let cases = [
            ("openai", wrong(Some("gpt-4o"), Some(5_001))),
            ("openai", wrong(Some("gpt\n4o"), None)),
            ("mock", wrong(Some("gpt-4o"), None)),
        ];
        for (provider, changes) in cases {
            let defaults = defaults(provider);
            let before = defaults.config();
            assert!(defaults.change(changes).is_err(), "{provider}");
            assert_eq!(defaults.config(), before);
        }
    }

    #[test]
    fn a_price_is_shown_for_a_thousand_tokens_and_is_none_when_unknown() {
        let defaults = defaults("openai");
        let expected = ListedPrice { prompt: 0.000_15, completion: 0.000_6 };
        assert_eq!(defaults.listed_price("gpt-4o-mini"), Some(expected));
        assert_eq!(defaults.listed_price("gpt-9"), None);
    }
}
