//! One message on its way: what it has used so far, and what is recorded when it ends, however it ends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cost_calculator::{Cost, PriceList, Provenance, Usage, Usd, estimated_tokens};
use jiff::Timestamp;
use ledger::{Exchange, Ledger, LedgerError, Outcome};
use models::{CostProvenance, FinishReason, ProcessResponse, ResponseStatus, StreamEnd, UsageReport};
use providers::{End, Prompt, ProviderError};

use crate::metrics::Metrics;

/// What an exchange needs to be recorded.
pub(crate) struct Books {
    pub(crate) ledger: Ledger,
    pub(crate) prices: Arc<PriceList>,
    pub(crate) metrics: Arc<Metrics>,
}

/// An exchange that is not over. Dropped before its end, it is recorded as cancelled, with what it used so far.
pub(crate) struct Ongoing {
    books: Arc<Books>,
    /// Its place in the ledger, if it was announced there.
    id: Option<i64>,
    /// `None` once its end is recorded.
    exchange: Option<Exchange>,
    /// Everything that was sent, for an estimate where the provider does not count.
    sent_tokens: u64,
    started: Instant,
}

/// A recorded answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    text: String,
    model: String,
    usage: Usage,
    cost: Cost,
    finish_reason: FinishReason,
    at: Timestamp,
    took: Duration,
}

impl Books {
    /// The exchange that starts with `prompt`, charged with the least that it can cost.
    pub(crate) fn open(&self, prompt: &Prompt) -> Exchange {
        let usage = Usage { prompt_tokens: sent_tokens(prompt), ..Usage::default() };
        Exchange {
            at: now(),
            conversation: None,
            message: prompt.message.clone(),
            answer: String::new(),
            outcome: Outcome::Open,
            model: prompt.model.clone(),
            usage,
            cost: estimate(self.prices.cost(&prompt.model, &usage)),
            duration: Duration::ZERO,
        }
    }

    /// Follows `exchange`, announced as `id` or not at all, to its end.
    pub(crate) fn follow(self: &Arc<Self>, exchange: Exchange, id: Option<i64>, started: Instant) -> Ongoing {
        let sent_tokens = exchange.usage.prompt_tokens;
        Ongoing { books: self.clone(), id, exchange: Some(exchange), sent_tokens, started }
    }
}

impl Ongoing {
    /// Takes a piece of the answer.
    pub(crate) fn append(&mut self, piece: &str) {
        if let Some(exchange) = &mut self.exchange {
            exchange.answer.push_str(piece);
        }
    }

    /// Bytes of the answer so far.
    pub(crate) fn len(&self) -> usize {
        self.exchange.as_ref().map_or(0, |exchange| exchange.answer.len())
    }

    /// Records the answer; it may leave only after this returns.
    pub(crate) async fn answered(mut self, end: End) -> Result<Answer, LedgerError> {
        let mut exchange = self.exchange.take().expect("an exchange ends once");
        let counted = end.usage.is_some();
        exchange.usage = end.usage.unwrap_or_else(|| self.estimated_usage(&exchange));
        exchange.cost = self.cost(&exchange, end.model.as_deref());
        if !counted {
            exchange.cost = estimate(exchange.cost);
        }
        exchange.outcome = Outcome::Answered { finish_reason: end.finish_reason };
        exchange.duration = self.started.elapsed();
        self.books.metrics.call(&exchange);
        let answer = Answer::new(&exchange, end.finish_reason);
        self.books.ledger.finish(self.id, exchange).await?;
        Ok(answer)
    }

    /// Records that the provider did not answer, or not to the end. The caller hears of it either way, so it does not
    /// wait for the disk.
    pub(crate) fn failed(mut self, error: &ProviderError) {
        let refused = match error {
            ProviderError::ContentFiltered { usage, .. } => *usage,
            _ => None,
        };
        self.settle(Outcome::Failed { code: error.code().to_owned() }, refused, error.may_be_billed());
    }

    fn settle(&mut self, outcome: Outcome, reported: Option<Usage>, billed: bool) {
        let Some(mut exchange) = self.exchange.take() else { return };
        exchange.outcome = outcome;
        exchange.duration = self.started.elapsed();
        exchange.usage = match reported {
            Some(usage) => usage,
            None if billed || !exchange.answer.is_empty() => self.estimated_usage(&exchange),
            None => Usage::default(),
        };
        exchange.cost = self.cost(&exchange, None);
        if reported.is_none() && exchange.usage != Usage::default() {
            exchange.cost = estimate(exchange.cost);
        }
        if exchange.usage == Usage::default() {
            // Nothing was used: that costs nothing, whatever the model's price is.
            exchange.cost = Cost { amount: Usd::ZERO, provenance: Provenance::Exact };
        }
        self.books.metrics.call(&exchange);
        // Handed over already; nobody waits for it.
        drop(self.books.ledger.finish(self.id, exchange));
    }

    fn estimated_usage(&self, exchange: &Exchange) -> Usage {
        let completion_tokens = estimated_tokens(&exchange.answer);
        Usage { prompt_tokens: self.sent_tokens, completion_tokens, ..Usage::default() }
    }

    /// By the name that was asked for; a provider's own name (a snapshot, an alias of a proxy) is the second choice.
    fn cost(&self, exchange: &Exchange, reported_model: Option<&str>) -> Cost {
        let cost = self.books.prices.cost(&exchange.model, &exchange.usage);
        match reported_model {
            Some(model) if cost.provenance == Provenance::Unpriced => {
                self.books.prices.cost(model, &exchange.usage)
            }
            _ => cost,
        }
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        // The provider was asked and may bill what it did until it noticed.
        self.settle(Outcome::Cancelled, None, true);
    }
}

impl Answer {
    fn new(exchange: &Exchange, finish_reason: FinishReason) -> Self {
        Self {
            text: exchange.answer.clone(),
            model: exchange.model.clone(),
            usage: exchange.usage,
            cost: exchange.cost,
            finish_reason,
            at: exchange.at.saturating_add(exchange.duration).unwrap_or(exchange.at),
            took: exchange.duration,
        }
    }

    /// The answer of an exchange that is in the ledger; `None` when it was not answered.
    pub(crate) fn recorded(exchange: &Exchange) -> Option<Self> {
        match exchange.outcome {
            Outcome::Answered { finish_reason } => Some(Self::new(exchange, finish_reason)),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn response(self) -> ProcessResponse {
        ProcessResponse {
            status: ResponseStatus::Success,
            usage: self.usage_report(),
            timestamp: rfc3339(self.at),
            processing_time: seconds(self.took),
            finish_reason: self.finish_reason,
            ai_response: self.text,
            model: self.model,
        }
    }

    pub(crate) fn stream_end(&self) -> StreamEnd {
        StreamEnd {
            usage: self.usage_report(),
            model: self.model.clone(),
            processing_time: seconds(self.took),
            timestamp: rfc3339(self.at),
            finish_reason: self.finish_reason,
        }
    }

    fn usage_report(&self) -> UsageReport {
        UsageReport {
            prompt_tokens: self.usage.prompt_tokens,
            completion_tokens: self.usage.completion_tokens,
            total_tokens: self.usage.total_tokens(),
            estimated_cost: self.cost.amount.to_f64(),
            cost_provenance: cost_provenance(self.cost.provenance),
            cached_prompt_tokens: self.usage.cached_prompt_tokens,
            cache_write_tokens: self.usage.cache_write_tokens,
            reasoning_tokens: self.usage.reasoning_tokens,
        }
    }
}

/// An unpriced cost stays unpriced.
fn estimate(cost: Cost) -> Cost {
    match cost.provenance {
        Provenance::Exact => Cost { provenance: Provenance::Estimated, ..cost },
        Provenance::Estimated | Provenance::Unpriced => cost,
    }
}

fn sent_tokens(prompt: &Prompt) -> u64 {
    let history = prompt.history.iter().map(|turn| estimated_tokens(&turn.content)).sum::<u64>();
    estimated_tokens(&prompt.system) + history + estimated_tokens(&prompt.message)
}

/// The time to the millisecond, as the ledger keeps it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// How a cost was found, as it is said on the wire.
pub(crate) fn cost_provenance(provenance: Provenance) -> CostProvenance {
    match provenance {
        Provenance::Exact => CostProvenance::Exact,
        Provenance::Estimated => CostProvenance::Estimated,
        Provenance::Unpriced => CostProvenance::Unpriced,
    }
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Seconds with three decimals.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1e3
}
