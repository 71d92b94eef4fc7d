//! A circuit breaker: what failed too often is left alone for a while, then tried once.

use std::time::{Duration, Instant};

/// Decides whether a call is made. Closed it lets everything pass; after enough failures in a row it is open and lets nothing
/// pass; then it is half open: one call passes as a trial, and its outcome closes or opens the breaker.
///
/// Outcomes of calls that began before the breaker changed say nothing about how things are now, and are ignored.
#[derive(Debug)]
pub struct CircuitBreaker {
    threshold: u32,
    rest: Duration,
    state: State,
    /// Grows whenever the state changes.
    generation: u64,
}

/// A call may be made. Its outcome is told with this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass(u64);

/// The breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// How long it is until a call is tried; zero while a trial runs.
    pub retry_after: Duration,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { trial: bool },
}

impl CircuitBreaker {
    /// A closed breaker that opens after `threshold` failures in a row (at least one), and stays open for `rest`.
    #[must_use]
    pub fn new(threshold: u32, rest: Duration) -> Self {
        Self { threshold: threshold.max(1), rest, state: State::Closed { failures: 0 }, generation: 0 }
    }

    /// Asks whether a call may be made. One that may must be told of with [`CircuitBreaker::succeeded`],
    /// [`CircuitBreaker::failed`] or [`CircuitBreaker::abandoned`].
    ///
    /// # Errors
    /// When it may not.
    pub fn pass(&mut self, now: Instant) -> Result<Pass, Open> {
        if let State::Open { until } = self.state
            && now >= until
        {
            self.enter(State::HalfOpen { trial: false });
        }
        match &mut self.state {
            State::Closed { .. } => Ok(Pass(self.generation)),
            State::HalfOpen { trial: trial @ false } => {
                *trial = true;
                Ok(Pass(self.generation))
            }
            State::HalfOpen { .. } => Err(Open { retry_after: Duration::ZERO }),
            State::Open { until } => Err(Open { retry_after: *until - now }),
        }
    }

    /// The call was answered.
    pub fn succeeded(&mut self, pass: Pass) {
        if pass.0 != self.generation {
            return;
        }
        match &mut self.state {
            State::Closed { failures } => *failures = 0,
            State::HalfOpen { .. } | State::Open { .. } => self.close(),
        }
    }

    /// The call failed.
    pub fn failed(&mut self, pass: Pass, now: Instant) {
        if pass.0 != self.generation {
            return;
        }
        if let State::Closed { failures } = &mut self.state {
            *failures += 1;
            if *failures < self.threshold {
                return;
            }
        }
        // A time that no clock reaches is as good as one that is far away.
        let until = now.checked_add(self.rest).unwrap_or_else(|| now + FAR);
        self.enter(State::Open { until });
    }

    /// Nobody knows how the call would have ended: it was given up, or never made. A trial is free for somebody else.
    pub fn abandoned(&mut self, pass: Pass) {
        if pass.0 == self.generation
            && let State::HalfOpen { trial } = &mut self.state
        {
            *trial = false;
        }
    }

    /// It is known from elsewhere that all is well.
    pub fn close(&mut self) {
        self.enter(State::Closed { failures: 0 });
    }

    /// There is reason to try one call before the rest is over. It changes nothing unless the breaker is open.
    pub fn half_open(&mut self) {
        if let State::Open { .. } = self.state {
            self.enter(State::HalfOpen { trial: false });
        }
    }

    /// Whether a call would pass. It changes nothing.
    #[must_use]
    pub fn would_pass(&self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until } => now >= until,
            State::HalfOpen { trial } => !trial,
        }
    }

    /// Whether it is open or half open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(60);

    fn opened(now: Instant) -> CircuitBreaker {
        let mut breaker = CircuitBreaker::new(5, REST);
        for _ in 0..5 {
            let pass = breaker.pass(now).unwrap();
            breaker.failed(pass, now);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_not_before() {
        let now = Instant::now();
        let mut breaker = CircuitBreaker::new(5, REST);
        for _ in 0..3 {
            for _ in 0..4 {
                let pass = breaker.pass(now).unwrap();
                breaker.failed(pass, now);
            }
            let pass = breaker.pass(now).unwrap();
            breaker.succeeded(pass);
        }
        assert!(!breaker.is_open());
        let mut breaker = opened(now);
        assert_eq!(breaker.pass(now + REST / 2), Err(Open { retry_after: REST / 2 }));
        assert!(!breaker.would_pass(now) && breaker.would_pass(now + REST));
    }

    #[test]
    fn after_its_rest_one_call_is_tried_and_its_success_closes_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let trial = breaker.pass(now + REST).unwrap();
        assert_eq!(breaker.pass(now + REST), Err(Open { retry_after: Duration::ZERO }));
        breaker.succeeded(trial);
        assert!(breaker.pass(now + REST).is_ok() && breaker.pass(now + REST).is_ok());
    }

    #[test]
    fn a_trial_that_fails_opens_it_for_another_rest() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let trial = breaker.pass(now + REST).unwrap();
        breaker.failed(trial, now + REST);
        assert_eq!(breaker.pass(now + REST), Err(Open { retry_after: REST }));
        assert!(breaker.pass(now + REST * 2).is_ok());
    }

    #[test]
    fn a_trial_that_was_given_up_is_free_again() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let trial = breaker.pass(now + REST).unwrap();
        breaker.abandoned(trial);
        assert!(breaker.pass(now + REST).is_ok());
    }

    #[test]
    fn what_began_before_it_changed_decides_nothing() {
        let now = Instant::now();
        let mut breaker = CircuitBreaker::new(1, REST);
        let (first, late, later) =
            (breaker.pass(now).unwrap(), breaker.pass(now).unwrap(), breaker.pass(now).unwrap());
        breaker.failed(first, now);
        breaker.succeeded(late);
        assert!(breaker.is_open());
        let trial = breaker.pass(now + REST).unwrap();
        breaker.abandoned(later);
        assert!(breaker.pass(now + REST).is_err());
        breaker.succeeded(trial);
        breaker.failed(later, now + REST);
        assert!(!breaker.is_open());
    }

    #[test]
    fn other_news_closes_it_or_lets_one_call_try() {
        let now = Instant::now();
        let mut breaker = opened(now);
        breaker.half_open();
        let trial = breaker.pass(now).unwrap();
        assert!(breaker.pass(now).is_err());
        breaker.failed(trial, now);
        breaker.close();
        breaker.half_open();
        assert!(breaker.pass(now).is_ok() && breaker.pass(now).is_ok());
    }

    #[test]
    fn a_rest_may_be_longer_than_time_itself() {
        let now = Instant::now();
        let mut breaker = CircuitBreaker::new(0, Duration::MAX);
        let pass = breaker.pass(now).unwrap();
        breaker.failed(pass, now);
        assert!(breaker.pass(now + REST).is_err());
    }
}
