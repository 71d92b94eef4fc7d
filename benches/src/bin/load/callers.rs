//! Callers that share nothing but the server: each has one connection or session, and one call open at any time.

use std::io::Result;

use futures_util::future::join_all;
use tokio::time::timeout_at;

use crate::measurement::{Budget, FAILURES_IN_A_ROW, Load, Outcome};

/// How to call a server.
pub(crate) trait Protocol {
    /// What a caller keeps between two calls.
    type Line;

    /// Gets a caller ready for its first call; not a part of any.
    async fn open(&self) -> Result<Self::Line>;

    /// One call, which `outcome` is told of. After an error the line is of no use.
    async fn call(&self, line: &mut Self::Line, outcome: &mut Outcome) -> Result<()>;

    /// Closes what a caller does not need until its next call.
    fn rest(&self, _line: &mut Self::Line) {}
}

/// Callers that all do the same.
pub(crate) struct Callers<P: Protocol> {
    protocol: P,
    lines: Vec<Option<P::Line>>,
}

impl<P: Protocol> Callers<P> {
    pub(crate) fn new(protocol: P, callers: usize) -> Self {
        Self { protocol, lines: (0..callers).map(|_| None).collect() }
    }
}

impl<P: Protocol> Load for Callers<P> {
    async fn run(&mut self, budget: &Budget) -> Outcome {
        let protocol = &self.protocol;
        let outcomes = self.lines.iter_mut().map(async |line| {
            let mut caller = Caller { protocol, line, outcome: Outcome::default() };
            let in_time = timeout_at(budget.cut_off(), caller.call_until_the_end_of(budget)).await;
            if in_time.is_err() {
                caller.outcome.failed(&"no answer");
                *caller.line = None;
            }
            caller.outcome
        });
        let mut sum = Outcome::default();
        join_all(outcomes).await.into_iter().for_each(|outcome| sum.merge(outcome));
        sum
    }
}

struct Caller<'a, P: Protocol> {
    protocol: &'a P,
    line: &'a mut Option<P::Line>,
    outcome: Outcome,
}

impl<P: Protocol> Caller<'_, P> {
    async fn call_until_the_end_of(&mut self, budget: &Budget) {
        let mut failures = 0;
        while failures < FAILURES_IN_A_ROW && budget.take() {
            match self.call().await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    self.outcome.failed(&error);
                    *self.line = None;
                }
            }
        }
    }

    async fn call(&mut self) -> Result<()> {
        let line = match self.line {
            Some(line) => line,
            None => self.line.insert(self.protocol.open().await?),
        };
        self.protocol.call(line, &mut self.outcome).await
    }
}
