//! Whoever waits for an answer, as the upstream's connection knows it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use json_rpc::{Notification, Outcome, Raw};
use mcp_transport::Party;
use tokio::time::timeout;

use super::{
    clock::Pause,
    host::Host,
    stake::{Stake, Withdrawn},
};
use crate::errors;

/// Longest time that a question is open: as long as a client of the newer era has for it.
pub(crate) const LONGEST_QUESTION: Duration = Duration::from_secs(600);

/// A party whose news are signs of life, and that is told only what is its own business. While it is asked something its call takes
/// up nothing at the upstream.
pub(super) struct Heard {
    pub(super) stake: Arc<Stake>,
    pub(super) host: Arc<Host>,
    pub(super) party: Arc<dyn Party>,
}

impl Heard {
    /// Its client is asked something until this is dropped.
    pub(super) fn pause(&self) -> (Pause<'_>, Withdrawn) {
        (Pause::begin(&self.stake.clock), self.stake.withdraw())
    }
}

#[async_trait]
impl Party for Heard {
    async fn told(&self, notification: Notification) {
        self.stake.clock.sign_of_life();
        if let Some(notification) = self.host.keep(notification) {
            // The upstream is not slow if its client is.
            let _pause = Pause::begin(&self.stake.clock);
            self.party.told(notification).await;
        }
    }

    async fn asked(&self, method: &str, params: Option<Raw>) -> Outcome {
        let _pause = self.pause();
        let answer = timeout(LONGEST_QUESTION, self.party.asked(method, params)).await;
        answer.unwrap_or_else(|_late| Err(errors::not_answered("the client did not answer in time")))
    }
}
