//! What every handler shares.

use std::sync::Arc;

use auth::Keys;
use ledger::Ledger;
use providers::Provider;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    defaults::Defaults, error::ApiError, health::ProviderHealth, metrics::Metrics, responder::Responder,
    streams::Streams,
};

/// The state of the server.
pub(crate) struct App {
    pub(crate) responder: Arc<Responder>,
    pub(crate) ledger: Ledger,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) provider_health: ProviderHealth,
    pub(crate) defaults: Defaults,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) keys: Keys,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) streams: Streams,
}

/// A place among the messages that are answered at the same time; dropping it frees the place.
pub(crate) struct Slot {
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl App {
    /// A free place, or the error that there is none: nobody waits in a queue.
    pub(crate) fn slot(&self) -> Result<Slot, ApiError> {
        let permit = self.slots.clone().try_acquire_owned().map_err(|_| ApiError::Busy)?;
        self.metrics.in_flight.inc();
        Ok(Slot { metrics: self.metrics.clone(), _permit: permit })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
    }
}
