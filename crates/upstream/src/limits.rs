//! How long things may take.

use std::{sync::Arc, time::Duration};

/// Time limits of one call, and of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest silence: without an answer and without progress. 60 seconds.
    pub idle: Duration,
    /// Longest time altogether, rounds of questions included, but not the time that the host takes to answer them. 10 minutes.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { idle: Duration::from_secs(60), total: Duration::from_secs(600) }
    }
}

/// How far a call has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Grows with each report.
    pub progress: f64,
    /// What it grows to, if the server knows.
    pub total: Option<f64>,
    /// What the server is doing.
    pub message: Option<String>,
}

/// How one call is made. Dropping the call's future cancels it at the server.
#[derive(Clone, Default)]
pub struct CallOptions {
    /// Other limits than the upstream's own.
    pub limits: Option<Limits>,
    /// Hears of progress, as far as it grows, and nothing after the call's end; it must not block. Without it, what the server
    /// reports still extends the idle limit.
    pub progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
}
