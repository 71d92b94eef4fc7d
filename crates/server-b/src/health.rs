//! Whether the provider can do its work, asked at most once every few seconds.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use models::{AiHealth, AiStatus};
use providers::{Check, CheckStatus, Provider};
use tokio::sync::Mutex;

/// How long a finding holds: a busy prober costs nothing.
const HOLDS: Duration = Duration::from_secs(5);

/// The last finding about a provider.
pub(crate) struct ProviderHealth {
    provider: Arc<dyn Provider>,
    last: Mutex<Option<(Instant, AiHealth)>>,
}

impl ProviderHealth {
    pub(crate) fn new(provider: Arc<dyn Provider>) -> Self {
        Self { provider, last: Mutex::new(None) }
    }

    /// The finding, at most a few seconds old. Probers that come together share one check.
    pub(crate) async fn get(&self) -> AiHealth {
        let mut last = self.last.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < HOLDS
        {
            return found.clone();
        }
        let found = finding(self.provider.check().await);
        *last = Some((Instant::now(), found.clone()));
        found
    }
}

fn finding(check: Check) -> AiHealth {
    let (status, error) = match check.status {
        CheckStatus::Healthy => (AiStatus::Healthy, None),
        CheckStatus::Unhealthy(why) => (AiStatus::Unhealthy, Some(why)),
        CheckStatus::Unknown => (AiStatus::Unknown, None),
    };
    AiHealth { configured: check.configured, status, error, note: check.note }
}
