//! Why a provider did not answer, in terms of what the caller can do.

use std::time::Duration;

use cost_calculator::Usage;

/// Why a provider did not answer. Messages are the provider's own where it sent one, with every secret removed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProviderError {
    /// A credential or setting is missing: set it.
    #[error("the provider is not configured: {hint}")]
    NotConfigured {
        /// What to set.
        hint: String,
    },
    /// The provider refuses our credential: replace it, or ask for access.
    #[error("the provider refused the credential: {message}")]
    Unauthorized {
        /// The provider's words.
        message: String,
    },
    /// Too many requests or tokens: wait.
    #[error("the provider's rate limit is reached: {message}")]
    RateLimited {
        /// The provider's words.
        message: String,
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    /// The provider does not accept this request: change it.
    #[error("the provider rejected the request: {message}")]
    InvalidRequest {
        /// The provider's words.
        message: String,
    },
    /// The provider is up but cannot take more work: try again later.
    #[error("the provider is overloaded: {message}")]
    Overloaded {
        /// The provider's words.
        message: String,
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    /// No answer in time: try again, or allow more time.
    #[error("the provider did not answer within {} s", .after.as_secs_f64())]
    TimedOut {
        /// The limit that was reached.
        after: Duration,
    },
    /// The stream broke off before its end: try again.
    #[error("the provider's stream broke off: {message}")]
    BrokenStream {
        /// What was seen.
        message: String,
    },
    /// The provider's content filter refused to answer: change the message.
    #[error("the provider's content filter refused to answer: {message}")]
    ContentFiltered {
        /// The provider's words.
        message: String,
        /// What the refusal used, if the provider reports it: refused answers are billed too.
        usage: Option<Usage>,
    },
    /// The provider cannot be reached: check the address and the network.
    #[error("the provider cannot be reached: {message}")]
    Unreachable {
        /// What was seen.
        message: String,
    },
    /// The provider took the request, but its answer was lost on the way or cannot be read: it may be on the bill.
    #[error("the provider's answer was lost: {message}")]
    AnswerLost {
        /// What was seen.
        message: String,
    },
    /// The provider answered with an error of its own: try again later.
    #[error("the provider failed: {message}")]
    Failed {
        /// The provider's words.
        message: String,
    },
}

impl ProviderError {
    /// Stable name of the kind: the `code` of problem documents, the label of metrics, a column of the ledger.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotConfigured { .. } => "provider_not_configured",
            Self::Unauthorized { .. } => "provider_unauthorized",
            Self::RateLimited { .. } => "rate_limited",
            Self::InvalidRequest { .. } => "provider_rejected_request",
            Self::Overloaded { .. } => "provider_overloaded",
            Self::TimedOut { .. } => "provider_timed_out",
            Self::BrokenStream { .. } => "broken_stream",
            Self::ContentFiltered { .. } => "content_filtered",
            Self::Unreachable { .. } => "provider_unreachable",
            Self::AnswerLost { .. } => "answer_lost",
            Self::Failed { .. } => "provider_failed",
        }
    }

    /// Whether a model may have worked on the request, so that it may be on the provider's bill. Requests that a
    /// provider answers with an error are not billed.
    #[must_use]
    pub fn may_be_billed(&self) -> bool {
        matches!(
            self,
            Self::TimedOut { .. }
                | Self::BrokenStream { .. }
                | Self::ContentFiltered { .. }
                | Self::AnswerLost { .. }
        )
    }
}

/// The innermost cause of `error`: the one that says what went wrong, after layers that only say where.
pub(crate) fn root_cause<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> &'a (dyn std::error::Error + 'static) {
    std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error)
}
