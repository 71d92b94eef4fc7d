//! Failures as the model that called a tool reads them.

use models::FieldError;
use providers::ProviderError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{body::InvalidBody, error::ApiError};

/// Why a tool call gave no result, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Failure {
    /// Always `false`: results have `true` there, or nothing.
    success: bool,
    /// What happened, in one line.
    error: String,
    /// More about it.
    detail: String,
    /// What to do about it.
    hint: String,
    /// Stable name of the error, for programs; the same as in the REST API.
    code: &'static str,
    /// Every argument that broke a rule.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    errors: Vec<FieldError>,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self {
            success: false,
            error: title(&error).to_owned(),
            detail: detail(&error),
            hint: hint(&error),
            code: error.code(),
            errors: error.fields(),
        }
    }
}

fn title(error: &ApiError) -> &'static str {
    match error {
        ApiError::Body(_) => "Invalid arguments",
        ApiError::Busy => "Server B is busy",
        ApiError::Provider(error) => provider_title(error),
        ApiError::LedgerBefore(_) | ApiError::LedgerRead(_) => "The ledger of Server B cannot be used",
        ApiError::LedgerAfter(_) => "The answer could not be recorded",
        ApiError::Cancelled => "Cancelled",
        _ => "Internal error",
    }
}

fn provider_title(error: &ProviderError) -> &'static str {
    match error {
        ProviderError::NotConfigured { .. } => "The model provider is not configured",
        ProviderError::Unauthorized { .. } => "The model provider refused the credential",
        ProviderError::RateLimited { .. } => "The rate limit of the model provider is reached",
        ProviderError::InvalidRequest { .. } => "The model provider rejected the request",
        ProviderError::Overloaded { .. } => "The model provider is overloaded",
        ProviderError::TimedOut { .. } => "The model provider did not answer in time",
        ProviderError::BrokenStream { .. } => "The model provider broke the answer off",
        ProviderError::ContentFiltered { .. } => "The content filter of the model provider refused to answer",
        ProviderError::Unreachable { .. } => "The model provider cannot be reached",
        ProviderError::AnswerLost { .. } => "The answer of the model provider was lost",
        ProviderError::Failed { .. } => "The model provider failed",
    }
}

fn detail(error: &ApiError) -> String {
    match error {
        ApiError::Body(InvalidBody::Fields(errors)) => {
            let broken: Vec<_> =
                errors.iter().map(|error| format!("{} {}", error.field, error.detail)).collect();
            broken.join("; ")
        }
        ApiError::Busy => "it answers as many messages as it may (MAX_CONCURRENT_REQUESTS)".to_owned(),
        ApiError::Provider(error) => error.to_string(),
        other => other.detail(),
    }
}

fn hint(error: &ApiError) -> String {
    let advice = match error {
        ApiError::Body(_) => "Correct the arguments and call the tool again",
        ApiError::Busy => "Wait for a moment, then call again",
        ApiError::Provider(
            ProviderError::RateLimited { retry_after: Some(wait), .. }
            | ProviderError::Overloaded { retry_after: Some(wait), .. },
        ) => return format!("Wait {} s, then call again", wait.as_secs_f64().ceil()),
        ApiError::Provider(error) => provider_hint(error),
        ApiError::LedgerBefore(_) | ApiError::LedgerRead(_) => {
            "Check the disk and DATABASE_URL of Server B, then call again"
        }
        ApiError::LedgerAfter(_) => {
            "Check the disk of Server B before you call again: this call may be on the provider's bill already"
        }
        ApiError::Cancelled => "Call again; what was used so far is recorded",
        _ => "Report it, with the log of Server B; another call may succeed",
    };
    advice.to_owned()
}

fn provider_hint(error: &ProviderError) -> &'static str {
    match error {
        ProviderError::NotConfigured { .. } => "Set on Server B what is missing, and start it again",
        ProviderError::Unauthorized { .. } => "Replace the provider's credential on Server B",
        ProviderError::RateLimited { .. } | ProviderError::Overloaded { .. } => {
            "Wait for a while, then call again"
        }
        ProviderError::InvalidRequest { .. } => {
            "Change the message, the model or max_tokens; get_provider_info lists the models"
        }
        ProviderError::TimedOut { .. } => {
            "Call again, ask for less (max_tokens), or raise PROVIDER_TIMEOUT_SECONDS on Server B"
        }
        ProviderError::BrokenStream { .. } => "Call again; what had arrived is not an answer",
        ProviderError::ContentFiltered { .. } => "Change the message",
        ProviderError::Unreachable { .. } => "Check the provider's address and the network of Server B",
        ProviderError::AnswerLost { .. } => "Call again; this call may be on the provider's bill already",
        ProviderError::Failed { .. } => "Call again; if it happens again, the model provider has a problem",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn provider(error: ProviderError) -> Failure {
        ApiError::Provider(error).into()
    }

    #[test]
    fn the_wait_that_a_provider_asks_for_is_in_the_hint() {
        let message = "slow down".to_owned();
        let wait = Some(Duration::from_millis(1_500));
        let failure = provider(ProviderError::RateLimited { message: message.clone(), retry_after: wait });
        assert_eq!((failure.code, failure.hint.as_str()), ("rate_limited", "Wait 2 s, then call again"));
        let failure = provider(ProviderError::Overloaded { message, retry_after: None });
        assert_eq!(failure.hint, "Wait for a while, then call again");
    }

    #[test]
    fn every_broken_argument_is_in_the_detail_and_in_the_list() {
        let broken = |field: &str| FieldError { field: field.to_owned(), detail: "is required".to_owned() };
        let failure = Failure::from(ApiError::Body(InvalidBody::Fields(vec![broken("a"), broken("b")])));
        assert_eq!((failure.code, failure.errors.len()), ("invalid_request", 2));
        assert_eq!(failure.detail, "a is required; b is required");
    }
}
