//! When a connection that ended is made again.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::Duration,
};

use resilience::Backoff;

use crate::Restarts;

/// A connection that lived for longer was a good one.
const STABLE: Duration = Duration::from_secs(10);

/// Decides about one connection. A child process that comes to nothing again and again is given up; a server that is
/// reached over the network is not.
pub(super) struct Supervision {
    backoff: Backoff,
    /// After so many starts in a row that came to nothing.
    gives_up_after: Option<u32>,
    /// Short lives in a row.
    short: u32,
    /// Starts in a row that came to nothing.
    vain: u32,
}

/// How a connection lived that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) lasted: Duration,
    /// Calls that were made.
    pub(super) begun: u64,
    /// Calls that were answered.
    pub(super) answered: u64,
}

/// What is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is made again after this time.
    After(Duration),
    /// It is left alone.
    GiveUp {
        /// How many starts came to nothing.
        starts: u32,
    },
}

impl Supervision {
    /// Of a child process.
    pub(super) fn of_child(restarts: Restarts) -> Self {
        let backoff = Backoff { attempts: u32::MAX, base: restarts.first_wait, max: restarts.longest_wait };
        Self { backoff, gives_up_after: Some(restarts.quick_deaths.max(1)), short: 0, vain: 0 }
    }

    /// Of a connection over the network, which is tried again at least once in `interval`.
    pub(super) fn of_network(restarts: Restarts, interval: Duration) -> Self {
        let base = restarts.first_wait.min(interval);
        let backoff = Backoff { attempts: u32::MAX, base, max: interval };
        Self { backoff, gives_up_after: None, short: 0, vain: 0 }
    }

    /// It could not be made.
    pub(super) fn failed(&mut self, jitter: f64) -> Next {
        self.vain += 1;
        self.short = self.short.max(1).saturating_add(1);
        self.next(jitter)
    }

    /// It has ended by itself.
    pub(super) fn ended(&mut self, life: Life, jitter: f64) -> Next {
        let Life { lasted, begun, answered } = life;
        if lasted >= STABLE || answered > 0 {
            self.short = 0;
        }
        if lasted >= STABLE || begun > 0 {
            self.vain = 0; // a call that kills its server is no reason to refuse all others
        } else {
            self.vain += 1;
        }
        self.short = self.short.saturating_add(1);
        self.next(jitter)
    }

    /// Somebody wants to begin anew.
    pub(super) fn forgive(&mut self) {
        (self.short, self.vain) = (0, 0);
    }

    fn next(&self, jitter: f64) -> Next {
        if self.gives_up_after.is_some_and(|limit| self.vain >= limit) {
            return Next::GiveUp { starts: self.vain };
        }
        let wait = match self.short {
            0 | 1 => Some(Duration::ZERO),
            short => self.backoff.wait_after(short - 1, None, jitter),
        };
        Next::After(wait.unwrap_or(self.backoff.max))
    }
}

/// 0.0 to 1.0. The standard library's hasher is seeded at random.
pub(super) fn random_fraction() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const RESTARTS: Restarts =
        Restarts { first_wait: SECOND, longest_wait: Duration::from_secs(4), quick_deaths: 3 };
    const UNUSED: Life = Life { lasted: SECOND, begun: 0, answered: 0 };

    fn seconds(number: u64) -> Next {
        Next::After(Duration::from_secs(number))
    }

    #[test]
    fn the_first_restart_is_at_once_and_later_ones_wait_longer() {
        let mut supervision = Supervision::of_child(RESTARTS);
        let crashed = Life { begun: 1, ..UNUSED };
        let waits: Vec<_> = (0..6).map(|_| supervision.ended(crashed, 1.0)).collect();
        assert_eq!(waits, [seconds(0), seconds(1), seconds(2), seconds(4), seconds(4), seconds(4)]);
    }

    #[test]
    fn a_crash_loop_is_given_up() {
        let mut supervision = Supervision::of_child(RESTARTS);
        assert_eq!(supervision.ended(UNUSED, 1.0), seconds(0));
        assert_eq!(supervision.failed(1.0), seconds(1));
        assert_eq!(supervision.ended(UNUSED, 1.0), Next::GiveUp { starts: 3 });
        supervision.forgive();
        assert_eq!(supervision.failed(1.0), seconds(1));
    }

    #[test]
    fn calls_that_kill_their_server_never_make_it_given_up() {
        let mut supervision = Supervision::of_child(RESTARTS);
        for _ in 0..1_000 {
            assert!(matches!(supervision.ended(Life { begun: 1, ..UNUSED }, 0.5), Next::After(_)));
        }
    }

    #[test]
    fn a_server_that_did_something_is_started_again_at_once() {
        let mut supervision = Supervision::of_child(RESTARTS);
        for _ in 0..1_000 {
            assert_eq!(supervision.ended(Life { begun: 2, answered: 1, ..UNUSED }, 1.0), seconds(0));
            assert_eq!(supervision.ended(Life { lasted: STABLE, ..UNUSED }, 1.0), seconds(0));
        }
    }

    #[test]
    fn a_server_on_the_network_is_tried_for_ever_and_once_in_an_interval() {
        let mut supervision = Supervision::of_network(RESTARTS, SECOND * 3);
        let waits: Vec<_> = (0..4).map(|_| supervision.failed(1.0)).collect();
        assert_eq!(waits, [seconds(1), seconds(2), seconds(3), seconds(3)]);
        for _ in 0..1_000 {
            assert_eq!(supervision.failed(1.0), seconds(3));
        }
    }
}
