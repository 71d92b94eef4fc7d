//! How many calls are made at the same time, and how many may wait.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore},
    time::timeout,
};

use super::desk::lock;

/// Lets a number of calls in, keeps a number waiting, and sends the rest away at once.
pub(super) struct Gate {
    places: Semaphore,
    size: usize,
    waiting: AtomicUsize,
    queue: usize,
    /// Newcomers are sent away.
    is_closed: AtomicBool,
    guests: Mutex<Guests>,
    /// Somebody has left.
    left: Notify,
}

/// Those who were let in and have not left, but for the places of those who are here.
#[derive(Default)]
struct Guests {
    /// They have stepped out, and have no place.
    outside: usize,
    /// They came back when no place was free. The next places that are given back are theirs.
    owed: usize,
}

/// Why a call is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too many wait already.
    Full,
    /// Nobody is let in any more.
    Closed,
}

impl Gate {
    /// A gate for this many calls at the same time, at least one, and this many that wait.
    pub(super) fn new(size: usize, queue: usize) -> Arc<Self> {
        let size = size.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self {
            places: Semaphore::new(size),
            size,
            waiting: AtomicUsize::new(0),
            queue,
            is_closed: AtomicBool::new(false),
            guests: Mutex::default(),
            left: Notify::new(),
        })
    }

    /// Waits for a place, in the order of coming. It is given back when it is dropped.
    pub(super) async fn enter(self: &Arc<Self>) -> Result<Seat, Refusal> {
        if let Some(place) = self.try_enter() {
            return Ok(place);
        }
        let _waiting = Waiting::join(self)?;
        let place = self.places.acquire().await.map_err(|_closed| Refusal::Closed)?;
        place.forget(); // from here on it is the seat that gives it back
        Ok(Seat(self.clone()))
    }

    /// A place, if one is free. While somebody waits none is: it is theirs as soon as it is given back.
    pub(super) fn try_enter(self: &Arc<Self>) -> Option<Seat> {
        if self.is_closed() {
            return None;
        }
        self.places.try_acquire().ok()?.forget();
        Some(Seat(self.clone()))
    }

    /// Calls that have a place.
    pub(super) fn active(&self) -> usize {
        let owed = lock(&self.guests).owed;
        (self.size + owed).saturating_sub(self.places.available_permits())
    }

    /// Calls that wait for one.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Lets no newcomers in from now on, and waits until those who came before have gone, but not for longer than `grace`.
    pub(super) async fn drain(&self, grace: Duration) {
        self.is_closed.store(true, Ordering::SeqCst);
        let _late = timeout(grace, self.emptied()).await; // whoever is left then is cut off
        self.close();
    }

    async fn emptied(&self) {
        loop {
            let left = self.left.notified();
            if self.waiting() == 0 && self.active() == 0 && lock(&self.guests).outside == 0 {
                return;
            }
            left.await;
        }
    }

    /// Lets nobody in any more, those who wait neither.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.places.close();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    fn give_back(&self, guests: &mut Guests) {
        match guests.owed.checked_sub(1) {
            Some(owed) => guests.owed = owed,
            None => self.places.add_permits(1),
        }
    }
}

/// A place in the gate, until it is dropped.
pub(super) struct Seat(Arc<Gate>);

impl Seat {
    /// Gives the place to somebody else for now.
    pub(super) fn step_out(&self) {
        let gate = &self.0;
        let mut guests = lock(&gate.guests);
        guests.outside += 1;
        gate.give_back(&mut guests);
    }

    /// Takes it again. Whoever was let in is not kept waiting: when no place is free there is one call too many for a while, and
    /// newcomers wait for longer.
    pub(super) fn step_in(&self) {
        let gate = &self.0;
        let mut guests = lock(&gate.guests);
        guests.outside -= 1;
        match gate.places.try_acquire() {
            Ok(place) => place.forget(),
            Err(_) => guests.owed += 1,
        }
    }
}

/// It must not be dropped while it is outside.
impl Drop for Seat {
    fn drop(&mut self) {
        self.0.give_back(&mut lock(&self.0.guests));
        self.0.left.notify_waiters();
    }
}

/// Somebody who waits, until it is dropped.
struct Waiting<'g>(&'g Gate);

impl<'g> Waiting<'g> {
    fn join(gate: &'g Gate) -> Result<Self, Refusal> {
        if gate.is_closed() {
            return Err(Refusal::Closed);
        }
        let room = |waiting: usize| (waiting < gate.queue).then_some(waiting + 1);
        let joined = gate.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        joined.map(|_before| Self(gate)).map_err(|_full| Refusal::Full)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, poll};
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn whoever_finds_the_queue_full_is_sent_away_at_once() {
        let gate = Gate::new(1, 1);
        let place = gate.enter().await.unwrap();
        let mut second = Box::pin(gate.enter());
        assert!(poll!(&mut second).is_pending());
        assert_eq!(gate.enter().now_or_never().map(|entered| entered.err()), Some(Some(Refusal::Full)));
        assert_eq!((gate.active(), gate.waiting()), (1, 1));
        // Whoever stops waiting makes room, and whoever leaves lets the next one in.
        drop(second);
        let mut third = pin!(gate.enter());
        assert!(poll!(&mut third).is_pending());
        drop(place);
        let third = third.await.unwrap();
        assert_eq!((gate.active(), gate.waiting()), (1, 0));
        drop(third);
        assert_eq!(gate.active(), 0);
    }

    #[tokio::test]
    async fn nobody_overtakes_those_who_wait() {
        let gate = Gate::new(1, 8);
        let first = gate.enter().await.unwrap();
        let mut second = pin!(gate.enter());
        assert!(poll!(&mut second).is_pending());
        drop(first);
        let mut third = pin!(gate.enter());
        assert!(poll!(&mut third).is_pending());
        drop(second.await.unwrap());
        assert!(third.await.is_ok());
    }

    #[tokio::test]
    async fn a_gate_that_is_drained_has_let_everybody_go_who_came_before() {
        let gate = Gate::new(2, 8);
        let (first, second) = (gate.enter().await.unwrap(), gate.enter().await.unwrap());
        let mut third = pin!(gate.enter());
        assert!(poll!(&mut third).is_pending());
        let mut drained = pin!(gate.drain(Duration::from_secs(1)));
        assert!(poll!(&mut drained).is_pending());
        let late = gate.enter().now_or_never().expect("newcomers are told at once");
        assert_eq!(late.err(), Some(Refusal::Closed));
        drop(first);
        assert!(poll!(&mut drained).is_pending());
        drop(third.await.unwrap());
        second.step_out();
        assert!(poll!(&mut drained).is_pending(), "it will come back");
        second.step_in();
        drop(second);
        drained.await;
    }

    #[tokio::test]
    async fn whoever_steps_out_lets_another_in_and_is_not_kept_waiting_afterwards() {
        let gate = Gate::new(1, 8);
        let first = gate.enter().await.unwrap();
        let mut second = pin!(gate.enter());
        assert!(poll!(&mut second).is_pending());
        first.step_out();
        let second = second.await.unwrap();
        first.step_in();
        assert_eq!(gate.active(), 2);
        // Newcomers wait until there are not too many any more.
        let mut third = pin!(gate.enter());
        assert!(poll!(&mut third).is_pending());
        drop(second);
        assert!(poll!(&mut third).is_pending());
        drop(first);
        drop(third.await.unwrap());
        assert_eq!(gate.active(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_beyond_the_grace_period() {
        let gate = Gate::new(1, 8);
        let place = gate.enter().await.unwrap();
        gate.drain(Duration::from_secs(1)).await;
        assert_eq!(gate.enter().await.err(), Some(Refusal::Closed));
        drop(place);
    }
}
