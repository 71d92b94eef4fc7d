//! A message on its way: whatever becomes of it, the ledger hears of it.

use std::time::Instant;

use cost_calculator::{Cost, Provenance, Usage, Usd, estimated_tokens};
use jiff::Timestamp;
use ledger::{Exchange, Ledger, LedgerError, Outcome};
use mcp_transport::{Change, Subscribers};
use models::{CostProvenance, ProcessRequest, ProcessResponse, UsageReport};
use responder_client::ResponderError;

use crate::{Message, resources};

/// Stands for the model of a message that named none and was not answered.
const UNKNOWN_MODEL: &str = "unknown";

/// An exchange that is not over. Dropping it records it too: as cancelled, or as failed when the program panics.
pub(crate) struct Pending<'l> {
    ledger: &'l Ledger,
    exchange: Option<Exchange>,
    started: Instant,
    /// Estimated tokens of everything that is sent with the message.
    sent_tokens: u64,
    pub(crate) progress: Progress,
    announcement: Announcement<'l>,
}

/// What subscribers are told when the exchange is in the ledger.
pub(crate) struct Announcement<'l> {
    subscribers: &'l Subscribers,
    uri: String,
    begins: bool,
}

impl<'l> Announcement<'l> {
    /// Of another exchange in `conversation`, which begins with it or goes on.
    pub(crate) fn new(subscribers: &'l Subscribers, conversation: &str, begins: bool) -> Self {
        Self { subscribers, uri: resources::uri(conversation), begins }
    }

    fn make(&self) {
        if self.begins {
            self.subscribers.changed(&Change::Resources);
        }
        self.subscribers.changed(&Change::Resource(self.uri.clone()));
    }
}

/// How far a message has come, over all of its attempts.
#[derive(Default)]
pub(crate) struct Progress {
    /// The part of a streamed answer that has come.
    pub(crate) received: String,
    /// Attempts that were sent, and did not fail in a way that is certainly free.
    payable: u32,
}

impl Progress {
    /// An attempt is on its way; from now on it may cost something.
    pub(crate) fn sent(&mut self) {
        self.payable += 1;
    }

    /// An attempt has failed.
    pub(crate) fn failed(&mut self, error: &ResponderError) {
        if error.certainly_free() {
            self.payable -= 1;
        }
    }

    /// Whether no model can have worked on the message, in none of its attempts.
    fn certainly_free(&self) -> bool {
        self.payable == 0 && self.received.is_empty()
    }
}

impl<'l> Pending<'l> {
    pub(crate) fn new(
        ledger: &'l Ledger,
        message: &Message,
        conversation: &str,
        announcement: Announcement<'l>,
    ) -> Self {
        let request = &message.request;
        let exchange = Exchange {
            at: Timestamp::now(),
            conversation: Some(conversation.to_owned()),
            message: request.message.clone(),
            answer: String::new(),
            outcome: Outcome::Cancelled,
            model: request.model.clone().unwrap_or_else(|| UNKNOWN_MODEL.to_owned()),
            usage: Usage::default(),
            cost: Cost { amount: Usd::ZERO, provenance: Provenance::Exact },
            duration: std::time::Duration::ZERO,
        };
        let (started, sent_tokens) = (Instant::now(), sent_tokens(request));
        let progress = Progress::default();
        Self { ledger, exchange: Some(exchange), started, sent_tokens, progress, announcement }
    }

    pub(crate) async fn answered(mut self, response: &ProcessResponse) -> Result<(), LedgerError> {
        let Some(mut exchange) = self.exchange.take() else { return Ok(()) };
        exchange.duration = self.started.elapsed();
        exchange.answer.clone_from(&response.ai_response);
        exchange.outcome = Outcome::Answered { finish_reason: response.finish_reason };
        exchange.model.clone_from(&response.model);
        exchange.usage = usage(&response.usage);
        exchange.cost = cost(&response.usage);
        self.record(exchange).await
    }

    pub(crate) async fn failed(mut self, error: &ResponderError) -> Result<(), LedgerError> {
        self.give_up(Outcome::Failed { code: error.code().to_owned() }).await
    }

    pub(crate) async fn cancelled(mut self) -> Result<(), LedgerError> {
        self.give_up(Outcome::Cancelled).await
    }

    async fn give_up(&mut self, outcome: Outcome) -> Result<(), LedgerError> {
        let Some(exchange) = self.unanswered(outcome) else { return Ok(()) };
        self.record(exchange).await
    }

    async fn record(&self, exchange: Exchange) -> Result<(), LedgerError> {
        self.ledger.record(exchange).await?;
        self.announcement.make();
        Ok(())
    }

    /// The exchange without its answer, with the least that it can have used. Only server-b knows the prices, so what may
    /// have cost something is unpriced.
    fn unanswered(&mut self, outcome: Outcome) -> Option<Exchange> {
        let mut exchange = self.exchange.take()?;
        exchange.duration = self.started.elapsed();
        exchange.outcome = outcome;
        if !self.progress.certainly_free() {
            exchange.usage.prompt_tokens = self.sent_tokens;
            exchange.usage.completion_tokens = estimated_tokens(&self.progress.received);
            exchange.cost.provenance = Provenance::Unpriced;
        }
        exchange.answer = std::mem::take(&mut self.progress.received);
        Some(exchange)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let outcome = if std::thread::panicking() {
            Outcome::Failed { code: "internal_error".to_owned() }
        } else {
            Outcome::Cancelled
        };
        if let Some(exchange) = self.unanswered(outcome) {
            drop(self.ledger.finish(None, exchange)); // handed over already; nobody waits for it
            self.announcement.make(); // who reads it now is answered after it is written
        }
    }
}

/// An estimate: server-b adds its own context to a message that has none.
pub(crate) fn sent_tokens(request: &ProcessRequest) -> u64 {
    let turns = request.history.iter().flatten().map(|turn| turn.content.as_str());
    let texts = turns.chain(request.context.as_deref()).chain([request.message.as_str()]);
    texts.map(estimated_tokens).sum()
}

fn usage(report: &UsageReport) -> Usage {
    Usage {
        prompt_tokens: report.prompt_tokens,
        completion_tokens: report.completion_tokens,
        cached_prompt_tokens: report.cached_prompt_tokens,
        cache_write_tokens: report.cache_write_tokens,
        reasoning_tokens: report.reasoning_tokens,
    }
}

/// The exact amount that the number on the wire was made from.
fn cost(report: &UsageReport) -> Cost {
    let unpriced = Cost { amount: Usd::ZERO, provenance: Provenance::Unpriced };
    match (Usd::from_f64(report.estimated_cost), report.cost_provenance) {
        (Some(amount), CostProvenance::Exact) => Cost { amount, provenance: Provenance::Exact },
        (Some(amount), CostProvenance::Estimated) => Cost { amount, provenance: Provenance::Estimated },
        (None, _) | (_, CostProvenance::Unpriced) => unpriced,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FREE: ResponderError = ResponderError::ConnectionRefused;
    const PAYABLE: ResponderError = ResponderError::TimedOut { after: Duration::ZERO };

    /// Progress after attempts that failed so, one after the other.
    fn after(failures: &[ResponderError]) -> Progress {
        let mut progress = Progress::default();
        for error in failures {
            progress.sent();
            progress.failed(error);
        }
        progress
    }

    #[test]
    fn a_message_is_free_only_if_every_attempt_was() {
        assert!(after(&[]).certainly_free());
        assert!(after(&[FREE, FREE]).certainly_free());
        for failures in [&[PAYABLE][..], &[PAYABLE, FREE], &[FREE, PAYABLE, FREE]] {
            assert!(!after(failures).certainly_free(), "{failures:?}");
        }
    }

    #[test]
    fn an_attempt_that_is_still_open_is_not_free() {
        let mut progress = after(&[FREE]);
        progress.sent();
        assert!(!progress.certainly_free());
    }

    #[test]
    fn a_part_of_an_answer_is_not_free_whatever_broke_it_off() {
        let progress = Progress { received: "a ".to_owned(), ..after(&[FREE]) };
        assert!(!progress.certainly_free());
    }

    #[test]
    fn everything_that_goes_along_is_in_the_estimate() {
        let turn = models::Turn { role: models::Role::User, content: "12345678".to_owned() };
        let request = ProcessRequest {
            message: "1234".to_owned(),
            context: Some("12345".to_owned()),
            history: Some(vec![turn]),
            ..ProcessRequest::default()
        };
        assert_eq!(sent_tokens(&request), 1 + 2 + 2);
    }
}
