//! The time limit of one call.

use std::{
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// How many times its limit a call may take when it reports progress.
pub(super) const PATIENCE: u32 = 10;
/// Instants end somewhere. Nobody waits for a century.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The time limit of one call: it runs from the last sign of life, and not while it is the client that is waited for.
pub(super) struct Clock {
    limit: Duration,
    started: Instant,
    state: Mutex<State>,
}

struct State {
    /// Until when a sign of life is waited for.
    idle: Instant,
    /// Until when the call is waited for at all.
    total: Instant,
    /// Since when it stands still, and for how many reasons.
    paused: Option<(Instant, usize)>,
}

impl Clock {
    pub(super) fn start(limit: Duration) -> Self {
        let limit = limit.min(FOR_EVER);
        let now = Instant::now();
        let state = State { idle: now + limit, total: now + limit * PATIENCE, paused: None };
        Self { limit, started: now, state: Mutex::new(state) }
    }

    /// Waits for this, but not for longer than is allowed.
    pub(super) async fn within<T>(&self, future: impl Future<Output = T>) -> Result<T, TooLate> {
        let mut future = pin!(future);
        let mut alarm = pin!(sleep_until(self.next_look()));
        loop {
            tokio::select! {
                biased;
                output = &mut future => return Ok(output),
                () = &mut alarm => {
                    let next = self.next_look();
                    if next <= Instant::now() {
                        return Err(TooLate);
                    }
                    alarm.as_mut().reset(next);
                }
            }
        }
    }

    /// How long it has run, pauses and all.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// When time is over, as far as is known now.
    fn next_look(&self) -> Instant {
        let state = self.state();
        match state.paused {
            None => state.idle.min(state.total),
            Some(_) => Instant::now() + self.limit, // once it goes on there will be as much time again
        }
    }

    /// Something was heard.
    pub(super) fn sign_of_life(&self) {
        self.state().idle = Instant::now() + self.limit;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLate;

/// It stands still until this is dropped.
pub(super) struct Pause<'c>(&'c Clock);

impl<'c> Pause<'c> {
    pub(super) fn begin(clock: &'c Clock) -> Self {
        let paused = &mut clock.state().paused;
        let (since, number) = paused.unwrap_or((Instant::now(), 0));
        *paused = Some((since, number + 1));
        Self(clock)
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        let Some((since, number)) = state.paused else { return };
        state.paused = Some((since, number - 1)).filter(|_| number > 1);
        if state.paused.is_none() {
            let now = Instant::now();
            state.idle = now + self.0.limit;
            state.total += now - since;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_silent_call_has_its_limit_and_a_quick_one_none() {
        let started = Instant::now();
        let clock = Clock::start(SECOND * 10);
        assert_eq!(clock.within(sleep(SECOND * 9)).await, Ok(()));
        assert_eq!(clock.within(pending::<()>()).await, Err(TooLate));
        assert_eq!(started.elapsed(), SECOND * 10);
    }

    #[tokio::test(start_paused = true)]
    async fn progress_extends_the_limit_but_not_for_ever() {
        let started = Instant::now();
        let clock = Clock::start(SECOND * 10);
        let reports = async {
            loop {
                sleep(SECOND * 9).await;
                clock.sign_of_life();
            }
        };
        assert_eq!(clock.within(reports).await, Err::<(), _>(TooLate));
        assert_eq!(started.elapsed(), SECOND * 100);
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_passes_while_a_question_is_open() {
        let started = Instant::now();
        let clock = Clock::start(SECOND * 10);
        let call = async {
            sleep(SECOND * 9).await;
            let (first, second) = (Pause::begin(&clock), Pause::begin(&clock));
            sleep(SECOND * 500).await;
            drop(first);
            sleep(SECOND * 500).await;
            drop(second);
            pending::<()>().await;
        };
        assert_eq!(clock.within(call).await, Err(TooLate));
        assert_eq!(started.elapsed(), SECOND * 1_019);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_nobody_polls_while_its_question_is_open_is_not_late_afterwards() {
        let clock = Clock::start(SECOND * 10);
        let (answered, answer) = tokio::sync::oneshot::channel::<()>();
        let mut call = pin!(clock.within(async {
            let question = Pause::begin(&clock);
            answer.await.unwrap();
            drop(question);
            sleep(SECOND * 9).await;
        }));
        assert!(futures_util::poll!(&mut call).is_pending());
        sleep(SECOND * 1_000).await;
        answered.send(()).unwrap();
        assert_eq!(call.await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_may_be_longer_than_time_itself() {
        let clock = Clock::start(Duration::MAX);
        assert_eq!(clock.within(sleep(SECOND)).await, Ok(()));
    }
}
