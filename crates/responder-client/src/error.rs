//! What can go wrong, named for what a caller can do about it.

use std::{error::Error, io, time::Duration};

use models::{Problem, StreamError};

/// Statuses that may be gone when the request is made again.
const PASSING: [u16; 4] = [429, 502, 503, 504];
/// The code of a 409: another request under the same key is being answered. Its answer is there under that key later.
const KEY_IN_USE: &str = "idempotency_key_in_use";
/// Statuses of requests that were turned away, unless the code says that a model worked on them.
const TURNED_AWAY: [u16; 9] = [400, 401, 403, 404, 405, 413, 415, 422, 429];
/// Codes of failures that are on nobody's bill, whatever their status is: before a model saw the request, or a provider
/// that answered with an error of its own.
const FREE: [&str; 8] = [
    "body_timed_out",
    "ledger_unavailable",
    "provider_failed",
    "provider_not_configured",
    "provider_overloaded",
    "provider_unauthorized",
    "provider_unreachable",
    "server_busy",
];
/// The code of a 422 after a model worked on the request: refused answers are on the provider's bill.
const CONTENT_FILTERED: &str = "content_filtered";

/// Why server-b gave no answer. No variant shows a password of the URL, a key, or a part of a message.
#[derive(Debug, thiserror::Error)]
pub enum ResponderError {
    /// Nothing listens there: start server-b, or correct its URL.
    #[error("connection refused")]
    ConnectionRefused,
    /// No connection came about: the name does not resolve, the network is down, TLS fails.
    #[error("server-b cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The connection broke before the answer was complete. Under its idempotency key the message can be sent again.
    #[error("the connection to server-b was lost before the answer was complete")]
    ConnectionLost(#[source] reqwest::Error),
    /// Server-b took too long.
    #[error("server-b did not answer within {} s", after.as_secs_f64())]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
    },
    /// Server-b refused or failed, and says why.
    #[error("server-b answered {} {}: {}", problem.status, problem.title, problem.detail)]
    Problem {
        /// Its problem document; made from the status when it sent none.
        problem: Box<Problem>,
        /// The wait that it asks for.
        retry_after: Option<Duration>,
    },
    /// Server-b failed after the answer had begun.
    #[error("server-b broke the answer off: {}", .0.error)]
    StreamFailed(StreamError),
    /// The stream ended before the answer was complete.
    #[error("the stream ended before the answer was complete")]
    BrokenStream,
    /// What came is not an answer of server-b: something else listens there, or another version.
    #[error("the answer cannot be read: {0}")]
    InvalidAnswer(String),
}

impl ResponderError {
    /// Whether the same request, under the same idempotency key, may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::ConnectionRefused | Self::Unreachable(_) | Self::ConnectionLost(_) => true,
            Self::TimedOut { .. } | Self::BrokenStream => true,
            Self::Problem { problem, .. } => {
                problem.retryable && (is_passing(problem.status) || self.key_is_in_use())
            }
            Self::StreamFailed(_) | Self::InvalidAnswer(_) => false,
        }
    }

    /// Whether the message is still being answered under its key: sent under a new one, it would be paid twice.
    #[must_use]
    pub fn key_is_in_use(&self) -> bool {
        matches!(self, Self::Problem { problem, .. } if problem.code == KEY_IN_USE)
    }

    /// Whether no model can have worked on this attempt, so that it is on nobody's bill. In doubt it is not free.
    #[must_use]
    pub fn certainly_free(&self) -> bool {
        match self {
            Self::ConnectionRefused | Self::Unreachable(_) => true,
            Self::Problem { problem, .. } => {
                let turned_away = TURNED_AWAY.contains(&problem.status) && problem.code != CONTENT_FILTERED;
                turned_away || FREE.contains(&problem.code.as_str())
            }
            _ => false,
        }
    }

    /// The wait that server-b asks for before another attempt.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// A stable name for programs and for the ledger: that of the problem document, or one of this crate's.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::ConnectionRefused => "connection_refused",
            Self::Unreachable(_) => "unreachable",
            Self::ConnectionLost(_) => "connection_lost",
            Self::TimedOut { .. } => "timed_out",
            Self::Problem { problem, .. } => &problem.code,
            Self::StreamFailed(failure) => &failure.code,
            Self::BrokenStream => "broken_stream",
            Self::InvalidAnswer(_) => "invalid_answer",
        }
    }
}

impl From<reqwest::Error> for ResponderError {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url(); // it may hold a password
        if error.is_connect() {
            if is_refused(&error) { Self::ConnectionRefused } else { Self::Unreachable(error) }
        } else if error.is_builder() {
            Self::Unreachable(error)
        } else {
            Self::ConnectionLost(error)
        }
    }
}

/// Whether a status may be gone when the request is made again.
pub(crate) fn is_passing(status: u16) -> bool {
    PASSING.contains(&status)
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(current) = cause {
        if current.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused)
        {
            return true;
        }
        cause = current.source();
    }
    false
}
