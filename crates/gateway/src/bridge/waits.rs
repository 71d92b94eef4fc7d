//! When a client is waited for: that time is nobody's fault, and no time limit counts it.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Instants end somewhere. Nobody waits for a century.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// When a client is waited for, by all parts of its request.
pub(crate) struct Waits(watch::Sender<State>);

#[derive(Debug, Clone, Copy)]
struct State {
    /// Questions that it has not answered.
    open: usize,
    /// Since when there are any.
    since: Instant,
    /// How long there were any before.
    before: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self(watch::Sender::new(State { open: 0, since: Instant::now(), before: Duration::ZERO }))
    }
}

/// The client is waited for until this is dropped.
pub(crate) struct Wait<'w>(&'w Waits);

impl Waits {
    /// The client is asked something.
    pub(crate) fn begin(&self) -> Wait<'_> {
        self.0.send_modify(|state| {
            if state.open == 0 {
                state.since = Instant::now();
            }
            state.open += 1;
        });
        Wait(self)
    }

    /// Comes to its end when so much time has passed in which the client was not waited for.
    pub(crate) async fn over(&self, limit: Duration) {
        let mut states = self.0.subscribe();
        let began = Instant::now();
        let mut begun = *states.borrow_and_update();
        if begun.open > 0 {
            begun.before += began - begun.since;
        }
        loop {
            let state = *states.borrow_and_update();
            if state.open > 0 {
                // Whoever holds the other end is here.
                let _ = states.changed().await;
                continue;
            }
            let end = began + limit.min(FOR_EVER) + (state.before - begun.before);
            tokio::select! {
                biased;
                _ = states.changed() => {}
                () = sleep_until(end) => return,
            }
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| {
            state.open -= 1;
            if state.open == 0 {
                state.before += state.since.elapsed();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn time_passes_but_while_any_question_is_open() {
        let (waits, started) = (Waits::default(), Instant::now());
        let earlier = waits.begin();
        sleep(SECOND * 100).await;
        let asking = async {
            sleep(SECOND * 100).await;
            drop(earlier);
            sleep(SECOND * 4).await;
            let (first, second) = (waits.begin(), waits.begin());
            sleep(SECOND * 200).await;
            drop(first);
            sleep(SECOND * 200).await;
            drop(second);
        };
        tokio::join!(waits.over(SECOND * 10), asking);
        assert_eq!(started.elapsed(), SECOND * (100 + 100 + 4 + 400 + 6));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_late_that_nobody_polled_while_its_question_was_open() {
        let waits = Waits::default();
        let mut over = pin!(waits.over(SECOND * 10));
        assert!(poll!(&mut over).is_pending());
        let question = waits.begin();
        sleep(SECOND * 1_000).await;
        drop(question);
        assert!(poll!(&mut over).is_pending());
        sleep(SECOND * 10).await;
        assert!(poll!(&mut over).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_may_be_longer_than_time_itself() {
        let waits = Waits::default();
        assert!(poll!(pin!(waits.over(Duration::MAX))).is_pending());
    }
}
