//! How long answers may go on without a connection.

use std::{sync::OnceLock, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::super::lifetime::Lifetime;

/// The grace period of a server, which begins when it is told to stop.
pub(super) struct Grace {
    pub(super) lifetime: Lifetime,
    period: Duration,
    stopped: OnceLock<Instant>,
}

impl Grace {
    pub(super) fn new(lifetime: Lifetime, period: Duration) -> Self {
        Self { lifetime, period, stopped: OnceLock::new() }
    }

    pub(super) fn begin(&self) {
        self.stopped.get_or_init(Instant::now);
        self.lifetime.stopping.cancel();
    }

    pub(super) fn is_over(&self) -> bool {
        self.stopped.get().is_some_and(|stopped| stopped.elapsed() >= self.period)
    }

    /// Waits for its end.
    pub(super) async fn over(&self) {
        self.lifetime.stopping.cancelled().await;
        sleep_until(*self.stopped.get_or_init(Instant::now) + self.period).await;
    }
}
