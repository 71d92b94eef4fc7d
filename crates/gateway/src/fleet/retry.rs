//! Whether a call that failed is made again.

use std::time::Duration;

use resilience::Backoff;

use super::Repeat;
use crate::errors::Refusal;

/// Why one attempt at a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// It was surely not delivered.
    #[error("it was not delivered ({reason})")]
    NotDelivered {
        reason: String,
        /// How long the upstream wants to be left alone.
        retry_after: Option<Duration>,
        /// Only the connection was of no use any more: another one may work at once.
        is_stale: bool,
    },
    /// There was no connection in time to send it on.
    #[error("there was no connection in time ({reason})")]
    NotReady { reason: String },
    /// It will never be accepted, whoever is asked and how often. Nothing was done.
    #[error("it was not accepted ({reason})")]
    Unacceptable { reason: String },
    /// It was answered with more than is accepted.
    #[error("its answer is too large ({reason})")]
    TooLarge { reason: String },
    /// It may have been delivered.
    #[error("its answer was lost ({reason})")]
    Lost { reason: String },
    /// It was delivered, and took too long.
    #[error("it was not answered in time")]
    TimedOut,
    /// The upstream does not let us in.
    #[error("the upstream refuses the gateway's credentials ({reason})")]
    Refused { reason: String },
    /// The circuit breaker is open.
    #[error("the circuit breaker is open, as the upstream failed too often: one call tries it again in {} s", retry_after.as_secs())]
    BreakerOpen { retry_after: Duration },
    /// There is no room for it.
    #[error("too many calls wait already")]
    Overloaded,
    /// Its caller may not make it any more.
    #[error("it may not be made any more")]
    Withdrawn { refusal: Box<Refusal> },
}

/// The attempts at one call.
pub(super) struct Attempts {
    repeat: Repeat,
    made: u32,
    /// Another connection was tried once without counting it.
    renewed: bool,
    /// Why the answer of the first delivery was lost, if one was.
    pub(super) lost: Option<String>,
}

impl Attempts {
    pub(super) fn new(repeat: Repeat) -> Self {
        Self { repeat, made: 0, renewed: false, lost: None }
    }

    /// How long to wait before the next attempt; `None` when there must not be one. `others` says whether there is a replica
    /// that has not been tried.
    pub(super) fn again(
        &mut self,
        failure: &Failure,
        backoff: &Backoff,
        others: bool,
        jitter: f64,
    ) -> Option<Duration> {
        match failure {
            Failure::NotDelivered { is_stale: true, .. } if !self.renewed => {
                self.renewed = true;
                Some(Duration::ZERO)
            }
            Failure::NotDelivered { retry_after, .. } => {
                self.made += 1;
                let asked = if others { None } else { *retry_after };
                let wait = backoff.wait_after(self.made, asked, jitter);
                if others { wait.map(|_| Duration::ZERO) } else { wait }
            }
            Failure::NotReady { .. } => others.then_some(Duration::ZERO),
            Failure::Lost { reason } => {
                let again = self.repeat == Repeat::Allowed && self.lost.is_none();
                self.lost.get_or_insert_with(|| reason.clone());
                again.then_some(Duration::ZERO)
            }
            Failure::Unacceptable { .. }
            | Failure::TooLarge { .. }
            | Failure::TimedOut
            | Failure::Refused { .. }
            | Failure::BreakerOpen { .. }
            | Failure::Overloaded
            | Failure::Withdrawn { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { attempts: 3, base: Duration::from_secs(1), max: Duration::from_secs(8) };
    const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

    fn undelivered() -> Failure {
        Failure::NotDelivered { reason: String::new(), retry_after: None, is_stale: false }
    }

    fn lost() -> Failure {
        Failure::Lost { reason: "it ended".to_owned() }
    }

    fn seconds(number: u64) -> Option<Duration> {
        Some(Duration::from_secs(number))
    }

    #[test]
    fn what_was_not_delivered_is_sent_again_until_the_attempts_are_used_up() {
        let mut attempts = Attempts::new(Repeat::Never);
        let waits: Vec<_> = (0..3).map(|_| attempts.again(&undelivered(), &BACKOFF, false, 1.0)).collect();
        assert_eq!(waits, [seconds(1), seconds(2), None]);
    }

    #[test]
    fn what_may_have_been_delivered_is_never_sent_again_unless_it_may_be() {
        assert_eq!(Attempts::new(Repeat::Never).again(&lost(), &BACKOFF, true, 1.0), None);
        let mut attempts = Attempts::new(Repeat::Allowed);
        assert_eq!(attempts.again(&lost(), &BACKOFF, false, 1.0), AT_ONCE);
        assert_eq!(attempts.again(&lost(), &BACKOFF, true, 1.0), None, "it is repeated once");
        assert_eq!(attempts.lost.as_deref(), Some("it ended"));
    }

    #[test]
    fn a_stale_connection_is_replaced_at_once_but_not_for_ever() {
        let stale = Failure::NotDelivered { reason: String::new(), retry_after: None, is_stale: true };
        let mut attempts = Attempts::new(Repeat::Never);
        let waits: Vec<_> = (0..4).map(|_| attempts.again(&stale, &BACKOFF, false, 1.0)).collect();
        assert_eq!(waits, [AT_ONCE, seconds(1), seconds(2), None]);
    }

    #[test]
    fn another_replica_is_tried_without_a_wait() {
        let busy = Failure::NotDelivered {
            reason: String::new(),
            retry_after: Some(Duration::from_secs(99)),
            is_stale: false,
        };
        let mut attempts = Attempts::new(Repeat::Never);
        assert_eq!(attempts.again(&busy, &BACKOFF, true, 1.0), AT_ONCE);
        assert_eq!(attempts.again(&busy, &BACKOFF, false, 1.0), None, "that is longer than anybody waits");
    }

    #[test]
    fn nobody_waits_twice_for_a_connection_to_the_same_replica() {
        let late = Failure::NotReady { reason: String::new() };
        assert_eq!(Attempts::new(Repeat::Never).again(&late, &BACKOFF, false, 1.0), None);
        assert_eq!(Attempts::new(Repeat::Never).again(&late, &BACKOFF, true, 1.0), AT_ONCE);
    }

    #[test]
    fn a_refusal_a_lack_of_time_or_what_would_come_again_is_final() {
        let failures = [
            Failure::Unacceptable { reason: String::new() },
            Failure::TooLarge { reason: String::new() },
            Failure::TimedOut,
            Failure::Refused { reason: String::new() },
            Failure::BreakerOpen { retry_after: Duration::ZERO },
            Failure::Overloaded,
        ];
        for failure in failures {
            assert_eq!(Attempts::new(Repeat::Allowed).again(&failure, &BACKOFF, true, 1.0), None);
        }
    }
}
