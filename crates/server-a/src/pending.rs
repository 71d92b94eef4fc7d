//! A message on its way: whatever becomes of it, the ledger hears of it.

use std::time::Instant;

use cost_calculator::{Cost, Provenance, Usage, Usd};
use jiff::Timestamp;
use ledger::{Exchange, Ledger, LedgerError, Outcome};
use models::{CostProvenance, ProcessResponse, UsageReport};
use responder_client::ResponderError;

use crate::Message;

/// Stands for the model of a message that named none and was not answered.
const UNKNOWN_MODEL: &str = "unknown";

/// An exchange that is not over. Dropping it records it too: as cancelled, or as failed when the program panics.
pub(crate) struct Pending<'l> {
    ledger: &'l Ledger,
    exchange: Option<Exchange>,
    started: Instant,
}

impl<'l> Pending<'l> {
    pub(crate) fn new(ledger: &'l Ledger, message: &Message, conversation: &str) -> Self {
        let request = &message.request;
        let exchange = Exchange {
            at: Timestamp::now(),
            conversation: Some(conversation.to_owned()),
            message: request.message.clone(),
            answer: String::new(),
            outcome: Outcome::Cancelled,
            model: request.model.clone().unwrap_or_else(|| UNKNOWN_MODEL.to_owned()),
            usage: Usage::default(),
            // A model may have worked on it, for a price that nobody told.
            cost: Cost { amount: Usd::ZERO, provenance: Provenance::Unpriced },
            duration: std::time::Duration::ZERO,
        };
        Self { ledger, exchange: Some(exchange), started: Instant::now() }
    }

    pub(crate) async fn answered(self, response: &ProcessResponse) -> Result<(), LedgerError> {
        self.record(|exchange| {
            exchange.answer.clone_from(&response.ai_response);
            exchange.outcome = Outcome::Answered { finish_reason: response.finish_reason };
            exchange.model.clone_from(&response.model);
            exchange.usage = usage(&response.usage);
            exchange.cost = cost(&response.usage);
        })
        .await
    }

    /// `received` is the part of the answer that had come.
    pub(crate) async fn failed(self, error: &ResponderError, received: String) -> Result<(), LedgerError> {
        self.record(|exchange| {
            exchange.answer = received;
            exchange.outcome = Outcome::Failed { code: error.code().to_owned() };
            if cost_nothing(error) {
                exchange.cost.provenance = Provenance::Exact;
            }
        })
        .await
    }

    pub(crate) async fn cancelled(self, received: String) -> Result<(), LedgerError> {
        self.record(|exchange| exchange.answer = received).await
    }

    async fn record(mut self, complete: impl FnOnce(&mut Exchange)) -> Result<(), LedgerError> {
        let Some(mut exchange) = self.exchange.take() else { return Ok(()) };
        exchange.duration = self.started.elapsed();
        complete(&mut exchange);
        self.ledger.record(exchange).await.map(drop)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(mut exchange) = self.exchange.take() {
            exchange.duration = self.started.elapsed();
            if std::thread::panicking() {
                exchange.outcome = Outcome::Failed { code: "internal_error".to_owned() };
            }
            self.ledger.finish_later(None, exchange);
        }
    }
}

/// Whether the message certainly never reached a model.
fn cost_nothing(error: &ResponderError) -> bool {
    match error {
        ResponderError::ConnectionRefused | ResponderError::Unreachable(_) => true,
        ResponderError::Problem { problem, .. } => problem.status < 500,
        _ => false,
    }
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
