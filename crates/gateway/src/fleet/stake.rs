//! What a call takes up at its upstream.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{clock::Clock, desk::lock, gate::Seat, site::Permit};

/// What a call takes up while it is under way: its time, a place in the gate, and what its outcome says of the replica. While the
/// upstream has a question open it takes up neither place nor replica: it waits for a person, who may take ten minutes.
pub(super) struct Stake {
    pub(super) clock: Clock,
    seat: Seat,
    attempt: Mutex<Attempt>,
}

#[derive(Default)]
struct Attempt {
    permit: Option<Permit>,
    /// Questions that are open.
    open: usize,
}

impl Stake {
    /// Of a call that has got in, and may take this long.
    pub(super) fn new(seat: Seat, limit: Duration) -> Arc<Self> {
        Arc::new(Self { clock: Clock::start(limit), seat, attempt: Mutex::default() })
    }

    /// An attempt begins there.
    pub(super) fn put(&self, permit: Permit) {
        lock(&self.attempt).permit = Some(permit);
    }

    /// The attempt is over: what its outcome is told with.
    pub(super) fn take(&self) -> Permit {
        lock(&self.attempt).permit.take().expect("it was put there when the attempt began")
    }

    /// A question is open until this is dropped.
    pub(super) fn withdraw(self: &Arc<Self>) -> Withdrawn {
        let mut attempt = lock(&self.attempt);
        attempt.open += 1;
        if attempt.open == 1 {
            self.seat.step_out();
            // Whoever asks is there, and at work.
            attempt.permit.iter_mut().for_each(Permit::pause);
        }
        Withdrawn(self.clone())
    }
}

/// A question that is open until this is dropped.
pub(super) struct Withdrawn(Arc<Stake>);

impl Drop for Withdrawn {
    fn drop(&mut self) {
        let mut attempt = lock(&self.0.attempt);
        attempt.open -= 1;
        if attempt.open == 0 {
            self.0.seat.step_in();
            attempt.permit.iter_mut().for_each(Permit::resume);
        }
    }
}
