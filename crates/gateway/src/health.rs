//! How the upstreams are.

use serde::Serialize;

use crate::Savings;

/// How a gateway is.
#[derive(Debug, Clone, Serialize)]
pub struct Health {
    /// `ok`, or `degraded` while an upstream cannot be used.
    pub status: &'static str,
    /// Its upstreams, in the order of their names.
    pub upstreams: Vec<UpstreamHealth>,
    /// What searching tools saves, where that is how clients find them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<Savings>,
}

impl Health {
    /// Whether no upstream can be used.
    #[must_use]
    pub fn is_down(&self) -> bool {
        let can_be_used =
            |state| matches!(state, UpstreamState::Idle | UpstreamState::Ready | UpstreamState::Degraded);
        !self.upstreams.iter().any(|upstream| can_be_used(upstream.state))
    }
}

/// How one upstream is.
#[derive(Debug, Clone, Serialize)]
pub struct UpstreamHealth {
    /// Its name.
    pub name: String,
    /// Whether it can be used.
    pub state: UpstreamState,
    /// What went wrong last, if anything did. It holds no secret and no message.
    pub last_error: Option<String>,
    /// Milliseconds that its last calls took, the middle one of them.
    pub latency_ms: Option<f64>,
    /// How often it was started, or connected to, again.
    pub restarts: u64,
    /// Calls under way.
    pub active: usize,
    /// Calls that wait.
    pub queued: usize,
    /// How many tools it offers.
    pub tools: usize,
}

/// Whether an upstream can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamState {
    /// It was not needed yet, or was stopped because nobody used it.
    Idle,
    /// It is being connected to.
    Connecting,
    /// It answers.
    Ready,
    /// Some of its replicas answer.
    Degraded,
    /// The circuit breaker is open.
    Open,
    /// It does not answer, and is tried again.
    Down,
    /// Its process ended again and again, and is left alone until the configuration is loaded again.
    GivenUp,
}

impl UpstreamState {
    /// The state as the end of a sentence about the upstream.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Idle => "is not used now",
            Self::Connecting => "is being connected to",
            Self::Ready => "answers",
            Self::Degraded => "answers in part",
            Self::Open => "failed too often and is left alone for now",
            Self::Down => "does not answer",
            Self::GivenUp => {
                "ended again and again, and is left alone until the configuration is loaded again"
            }
        }
    }
}
