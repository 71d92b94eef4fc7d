//! Exponential backoff with equal jitter.

use std::time::Duration;

/// How often to try, and how long to wait between two attempts.
///
/// The wait before attempt n+1 is between half of and the whole `base · 2^(n-1)`, at most `max`: jitter keeps many
/// clients from coming back at the same moment.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Attempts in all, the first one included. At least one is made.
    pub attempts: u32,
    /// Wait before the second attempt.
    pub base: Duration,
    /// Longest wait, also of one that a server asks for: a longer one is not waited for at all.
    pub max: Duration,
}

impl Backoff {
    /// How long to wait after failed attempt number `attempt` (the first is 1), or `None` to give up.
    ///
    /// `asked` is the wait that the server asked for (`Retry-After`); it is never undercut. When it is longer than
    /// `max` the caller should hear of the failure now instead of hanging. `jitter` is uniform in 0.0..=1.0.
    #[must_use]
    pub fn wait_after(&self, attempt: u32, asked: Option<Duration>, jitter: f64) -> Option<Duration> {
        if attempt >= self.attempts || asked.is_some_and(|asked| asked > self.max) {
            return None;
        }
        let doublings = attempt.saturating_sub(1).min(31);
        let whole = self.base.saturating_mul(1 << doublings).min(self.max);
        let wait = whole.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        Some(wait.max(asked.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { attempts: 4, base: Duration::from_secs(1), max: Duration::from_secs(3) };
    const fn seconds(seconds: f64) -> Option<Duration> {
        Some(Duration::from_millis((seconds * 1000.0) as u64))
    }

    #[test]
    fn the_wait_doubles_up_to_the_longest_one_and_ends_with_the_attempts() {
        let waits: Vec<_> = (1..=4).map(|attempt| BACKOFF.wait_after(attempt, None, 1.0)).collect();
        assert_eq!(waits, [seconds(1.0), seconds(2.0), seconds(3.0), None]);
    }

    #[test]
    fn jitter_shortens_the_wait_by_at_most_half() {
        assert_eq!(BACKOFF.wait_after(1, None, 0.0), seconds(0.5));
        assert_eq!(BACKOFF.wait_after(2, None, 0.5), seconds(1.5));
    }

    #[test]
    fn the_wait_that_the_server_asks_for_is_never_undercut() {
        assert_eq!(BACKOFF.wait_after(1, seconds(2.5), 0.0), seconds(2.5));
        assert_eq!(BACKOFF.wait_after(1, seconds(0.0), 0.0), seconds(0.5));
    }

    #[test]
    fn a_wait_longer_than_the_longest_one_is_not_waited_for() {
        assert_eq!(BACKOFF.wait_after(1, seconds(60.0), 0.0), None);
    }

    #[test]
    fn a_single_attempt_never_waits() {
        let once = Backoff { attempts: 1, ..BACKOFF };
        assert_eq!(once.wait_after(1, None, 1.0), None);
        assert_eq!(Backoff { attempts: 0, ..BACKOFF }.wait_after(1, None, 1.0), None);
    }
}
