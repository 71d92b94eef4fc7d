//! The time limits of one call, as they run.

use std::time::Duration;

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

use crate::Limits;

/// The limits of one call. They do not run while somebody thinks about an answer.
pub(crate) struct Clock {
    limits: Limits,
    idle_until: Instant,
    total_until: Instant,
}

impl Clock {
    pub(crate) fn start(limits: Limits) -> Self {
        let now = Instant::now();
        let until = |limit| now.checked_add(limit).unwrap_or_else(|| now + FOR_EVER);
        Self { limits, idle_until: until(limits.idle), total_until: until(limits.total) }
    }

    /// Something was heard.
    pub(crate) fn sign_of_life(&mut self) {
        let now = Instant::now();
        self.idle_until = now.checked_add(self.limits.idle).unwrap_or_else(|| now + FOR_EVER);
    }

    /// Waits for what does not count, the host's answer.
    pub(crate) async fn pause<T>(&mut self, answer: impl Future<Output = T>) -> T {
        let paused = Instant::now();
        let answer = answer.await;
        self.total_until += paused.elapsed();
        self.sign_of_life();
        answer
    }

    /// Waits, but not beyond the total limit: gives the limit then.
    pub(crate) async fn sleep(&mut self, wait: Duration) -> Option<Duration> {
        let awake = Instant::now() + wait;
        sleep_until(awake.min(self.total_until)).await;
        self.sign_of_life();
        (awake > self.total_until).then_some(self.limits.total)
    }

    /// Waits until one of the limits is exceeded, and says which. A sign of life extends the first; while questions are
    /// open, none runs.
    pub(crate) async fn exceeded(
        &mut self,
        signs: &Notify,
        questions: &mut watch::Receiver<usize>,
    ) -> Duration {
        loop {
            if *questions.borrow_and_update() > 0 {
                let answered = async {
                    let _ = questions.wait_for(|open| *open == 0).await; // nobody asks any more
                };
                self.pause(answered).await;
            }
            tokio::select! {
                () = sleep_until(self.idle_until.min(self.total_until)) => {
                    let total = self.total_until <= self.idle_until;
                    return if total { self.limits.total } else { self.limits.idle };
                }
                () = signs.notified() => self.sign_of_life(),
                Ok(()) = questions.changed() => {}
            }
        }
    }
}

/// Instants end somewhere. Nobody waits for a century.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LIMITS: Limits = Limits { idle: Duration::from_secs(10), total: Duration::from_secs(25) };

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_extend_the_first_limit_and_not_the_second() {
        let started = Instant::now();
        let (signs, questions) = (Notify::new(), watch::Sender::new(0));
        let mut clock = Clock::start(LIMITS);
        let mut questions = questions.subscribe();
        let exceeded = clock.exceeded(&signs, &mut questions);
        let reports = async {
            for _ in 0..100 {
                sleep(SECOND * 8).await;
                signs.notify_one();
            }
        };
        let limit = tokio::select! {
            limit = exceeded => limit,
            () = reports => unreachable!(),
        };
        assert_eq!((limit, started.elapsed()), (LIMITS.total, LIMITS.total));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_the_first_limit() {
        let started = Instant::now();
        let questions = watch::Sender::new(0);
        let limit = Clock::start(LIMITS).exceeded(&Notify::new(), &mut questions.subscribe()).await;
        assert_eq!((limit, started.elapsed()), (LIMITS.idle, LIMITS.idle));
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_runs_while_a_question_is_open() {
        let started = Instant::now();
        let (signs, open) = (Notify::new(), watch::Sender::new(0));
        let mut clock = Clock::start(LIMITS);
        let mut questions = open.subscribe();
        let thinks = async {
            sleep(SECOND * 5).await;
            open.send_replace(1);
            sleep(SECOND * 1_000).await;
            open.send_replace(0);
            std::future::pending::<()>().await;
        };
        let limit = tokio::select! {
            limit = clock.exceeded(&signs, &mut questions) => limit,
            () = thinks => unreachable!(),
        };
        assert_eq!((limit, started.elapsed()), (LIMITS.idle, SECOND * 1_015));
        // And what was waited for is not a part of the second limit either.
        assert_eq!(clock.sleep(SECOND * 9).await, None);
        assert_eq!(clock.sleep(SECOND * 9).await, Some(LIMITS.total));
        assert_eq!(started.elapsed(), SECOND * 1_025);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_may_be_longer_than_time_itself() {
        let endless = Limits { idle: Duration::MAX, total: Duration::MAX };
        let mut clock = Clock::start(endless);
        clock.pause(sleep(SECOND)).await;
        assert_eq!(clock.sleep(SECOND).await, None);
    }
}
