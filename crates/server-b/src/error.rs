//! Every way a request can fail, and the problem document (RFC 9457) that says so.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use ledger::LedgerError;
use models::{FieldError, Problem};
use providers::ProviderError;

use crate::body::InvalidBody;

/// How long a caller should stay away from a full server.
const BUSY_WAIT: Duration = Duration::from_secs(1);
const ROUTES: &str = "POST /process, POST /stream, GET /health, GET /models, GET /config, GET /metrics, GET /openapi.json, GET /docs";

/// Why a request failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("the body is not a valid request")]
    Body(InvalidBody),
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge { limit: usize },
    #[error("the body did not arrive in time")]
    BodyTimedOut,
    #[error("the body broke off")]
    BodyBroken,
    #[error("the content type is not JSON")]
    MediaType,
    #[error("the idempotency key is not valid")]
    IdempotencyKey,
    #[error("the idempotency key stands for another request")]
    KeyMismatch,
    #[error("the idempotency key is being answered")]
    KeyInUse,
    #[error("no valid key was shown")]
    Unauthorized,
    #[error("there is no such path")]
    NotFound,
    #[error("the path does not take this method")]
    Method,
    #[error("the server is full")]
    Busy,
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error("the ledger failed before the provider was asked")]
    LedgerBefore(#[source] LedgerError),
    #[error("the ledger failed after the provider answered")]
    LedgerAfter(#[source] LedgerError),
    #[error("the ledger cannot be read")]
    LedgerRead(#[source] LedgerError),
    #[error("the caller went away")]
    Cancelled,
    #[error("internal error")]
    Internal,
}

impl From<InvalidBody> for ApiError {
    fn from(error: InvalidBody) -> Self {
        Self::Body(error)
    }
}

impl ApiError {
    /// Stable name of the error, for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Body(InvalidBody::Fields(_)) => "invalid_request",
            Self::Body(_) => "malformed_json",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyTimedOut => "body_timed_out",
            Self::BodyBroken => "body_broken",
            Self::MediaType => "unsupported_media_type",
            Self::IdempotencyKey => "invalid_idempotency_key",
            Self::KeyMismatch => "idempotency_key_reused",
            Self::KeyInUse => "idempotency_key_in_use",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::Method => "method_not_allowed",
            Self::Busy => "server_busy",
            Self::Provider(error) => error.code(),
            Self::LedgerBefore(_) | Self::LedgerRead(_) => "ledger_unavailable",
            Self::LedgerAfter(_) => "answer_not_recorded",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal_error",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Body(InvalidBody::Fields(_)) | Self::KeyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Body(_) | Self::BodyBroken | Self::IdempotencyKey => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::KeyInUse => StatusCode::CONFLICT,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Provider(error) => provider_status(error),
            Self::Busy | Self::LedgerBefore(_) | Self::LedgerAfter(_) | Self::LedgerRead(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Cancelled | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether the same request may succeed later, without anything being changed.
    fn retryable(&self) -> bool {
        match self {
            Self::Busy
            | Self::KeyInUse
            | Self::BodyTimedOut
            | Self::LedgerBefore(_)
            | Self::LedgerRead(_) => true,
            Self::Provider(error) => matches!(
                error,
                ProviderError::RateLimited { .. }
                    | ProviderError::Overloaded { .. }
                    | ProviderError::TimedOut { .. }
                    | ProviderError::BrokenStream { .. }
                    | ProviderError::Unreachable { .. }
                    | ProviderError::AnswerLost { .. }
                    | ProviderError::Failed { .. }
            ),
            _ => false,
        }
    }

    /// How long the caller should wait, where that is known.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy | Self::KeyInUse => Some(BUSY_WAIT),
            Self::Provider(
                ProviderError::RateLimited { retry_after, .. }
                | ProviderError::Overloaded { retry_after, .. },
            ) => *retry_after,
            _ => None,
        }
    }

    /// What happened and what to do about it.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Body(InvalidBody::Fields(errors)) => {
                let broken: Vec<_> =
                    errors.iter().map(|error| format!("{}: {}", error.field, error.detail)).collect();
                format!("correct these fields: {}", broken.join("; "))
            }
            Self::Body(InvalidBody::Malformed(why)) => format!("the body is not JSON ({why}): send one JSON object"),
            Self::Body(InvalidBody::NotAnObject) => {
                "the body is JSON but not an object: send {\"message\": \"…\"}".to_owned()
            }
            Self::BodyTooLarge { limit } => {
                format!("the body is larger than {limit} bytes: send a shorter message or less history")
            }
            Self::BodyTimedOut => "the body did not arrive in time: send the request again".to_owned(),
            Self::BodyBroken => "the body broke off before its end: send the request again".to_owned(),
            Self::MediaType => "send the body as JSON, with the header Content-Type: application/json".to_owned(),
            Self::IdempotencyKey => {
                "an Idempotency-Key has 1 to 255 visible ASCII characters, for instance a UUID".to_owned()
            }
            Self::KeyMismatch => {
                "this Idempotency-Key was used for a different request: use a new key for a new message".to_owned()
            }
            Self::KeyInUse => {
                "a request with this Idempotency-Key is being answered: wait and send it again to get its answer".to_owned()
            }
            Self::Unauthorized => {
                "show a key of SERVER_B_API_KEY in the header Authorization: Bearer KEY".to_owned()
            }
            Self::NotFound => format!("there is no such path; there are {ROUTES}"),
            Self::Method => format!("this path does not take this method; there are {ROUTES}"),
            Self::Busy => "the server answers as many messages as it can (MAX_CONCURRENT_REQUESTS): try again after a moment".to_owned(),
            Self::Provider(error) => format!("{error}{}", advice(error)),
            Self::LedgerBefore(_) => {
                "the ledger cannot be used, and without it nothing is answered: look at server-b's log and at the disk".to_owned()
            }
            Self::LedgerAfter(_) => {
                "the provider answered, but the answer could not be recorded, so it was withheld: look at server-b's log and at the disk before you ask again".to_owned()
            }
            Self::LedgerRead(_) => {
                "the ledger cannot be read: look at server-b's log and at the disk".to_owned()
            }
            Self::Cancelled => "the caller went away before the answer was complete".to_owned(),
            Self::Internal => "something unexpected happened: look for the request id in server-b's log".to_owned(),
        }
    }

    /// Every field that broke a rule.
    pub(crate) fn fields(self) -> Vec<FieldError> {
        match self {
            Self::Body(InvalidBody::Fields(errors)) => errors,
            _ => Vec::new(),
        }
    }

    /// Logs a failure of ours or of the provider; a caller's mistake is in the line of its request.
    pub(crate) fn log(&self) {
        match self {
            Self::LedgerBefore(_) | Self::LedgerAfter(_) | Self::LedgerRead(_) | Self::Internal => {
                tracing::error!(
                    error = self as &dyn std::error::Error,
                    error.code = self.code(),
                    "request failed"
                );
            }
            // The provider's words may repeat the message that it was sent: they go to the caller, not into the log.
            Self::Provider(_) => tracing::warn!(error.code = self.code(), "the provider did not answer"),
            _ => {}
        }
    }
}

fn provider_status(error: &ProviderError) -> StatusCode {
    match error {
        ProviderError::NotConfigured { .. } | ProviderError::Overloaded { .. } => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ProviderError::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        ProviderError::InvalidRequest { .. } | ProviderError::ContentFiltered { .. } => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        ProviderError::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
        // Also a refused credential: it is this server's, not the caller's, so it is not the caller's 401.
        ProviderError::Unauthorized { .. }
        | ProviderError::BrokenStream { .. }
        | ProviderError::Unreachable { .. }
        | ProviderError::AnswerLost { .. }
        | ProviderError::Failed { .. } => StatusCode::BAD_GATEWAY,
    }
}

fn advice(error: &ProviderError) -> &'static str {
    match error {
        ProviderError::NotConfigured { .. } => "",
        ProviderError::Unauthorized { .. } => ". Replace the provider's credential on server-b",
        ProviderError::RateLimited { .. } | ProviderError::Overloaded { .. } => ". Try again later",
        ProviderError::InvalidRequest { .. } => ". Change the request; GET /models lists the models",
        ProviderError::ContentFiltered { .. } => ". Change the message",
        ProviderError::TimedOut { .. } => ". Try again, or raise PROVIDER_TIMEOUT_SECONDS on server-b",
        ProviderError::Unreachable { .. } => ". Check the provider's address and server-b's network",
        ProviderError::BrokenStream { .. }
        | ProviderError::AnswerLost { .. }
        | ProviderError::Failed { .. } => ". Try again",
    }
}

impl IntoResponse for ApiError {
    /// The problem travels in the response's extensions: the layer that knows the request's id writes it (`observe`).
    fn into_response(self) -> Response {
        self.log();
        let status = self.status();
        let mut response = status.into_response();
        if let Some(wait) = self.retry_after() {
            // Whole seconds, rounded up: a caller that comes back too early is refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: self.detail(),
            code: self.code().to_owned(),
            retryable: self.retryable(),
            request_id: None,
            errors: self.fields(),
        });
        response
    }
}
