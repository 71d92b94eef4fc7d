//! Sums over exchanges.

use std::{collections::BTreeMap, time::Duration};

use cost_calculator::{Provenance, Usage, Usd};
use jiff::Timestamp;

use crate::{Exchange, Outcome};

/// Sums over exchanges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// By full id of the model.
    pub models: BTreeMap<String, ModelTotals>,
}

/// Sums over the exchanges with one model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelTotals {
    /// All exchanges.
    pub requests: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Those whose cost is unknown, because the model has no listed price.
    pub unpriced: u64,
    /// Tokens of all.
    pub usage: Usage,
    /// What all cost, as far as it is known.
    pub cost: Usd,
    /// Time that the answered ones took together.
    pub answered_duration: Duration,
    /// When the last message arrived.
    pub last_at: Option<Timestamp>,
}

impl Totals {
    /// Adds one exchange that is over.
    pub fn add(&mut self, exchange: &Exchange) {
        let model = match self.models.get_mut(&exchange.model) {
            Some(model) => model,
            None => self.models.entry(exchange.model.clone()).or_default(),
        };
        model.requests += 1;
        if matches!(exchange.outcome, Outcome::Answered { .. }) {
            model.answered += 1;
            model.answered_duration += exchange.duration;
        }
        model.unpriced += u64::from(exchange.cost.provenance == Provenance::Unpriced);
        model.usage += exchange.usage;
        model.cost += exchange.cost.amount;
        model.last_at = model.last_at.max(Some(exchange.at));
    }

    /// The sums over all models.
    #[must_use]
    pub fn all(&self) -> ModelTotals {
        self.models.values().fold(ModelTotals::default(), |mut all, model| {
            all.add(model);
            all
        })
    }
}

impl ModelTotals {
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.answered += other.answered;
        self.unpriced += other.unpriced;
        self.usage += other.usage;
        self.cost += other.cost;
        self.answered_duration += other.answered_duration;
        self.last_at = self.last_at.max(other.last_at);
    }
}
