//! Whoever waits for an answer, as the upstream's connection knows it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use json_rpc::{Notification, Outcome, Raw};
use mcp_transport::Party;
use tokio::time::timeout;

use super::{clock::Pause, host::Host, stake::Stake};
use crate::errors;

/// Longest time that a question is open: as long as a client of the newer era has for it.
pub(super) const LONGEST_QUESTION: Duration = Duration::from_secs(600);

/// A party whose news are signs of life, and that is told only what is its own business. While it is asked something its call takes
/// up nothing at the upstream.
pub(super) struct Heard {
    pub(super) stake: Arc<Stake>,
    pub(super) host: Arc<Host>,
    pub(super) party: Arc<dyn Party>,
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
        let _pause = Pause::begin(&self.stake.clock);
        let _withdrawn = self.stake.withdraw();
        let answer = timeout(LONGEST_QUESTION, self.party.asked(method, params)).await;
        answer.unwrap_or_else(|_late| Err(errors::not_answered("the client did not answer in time")))
    }
}
