//! When what all upstreams offer is put together anew: beside everything else, and not more often than is worth it.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::Relay;

/// Longest pause between two times.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Pauses are so much longer than what they follow: an upstream that changes without end must not keep a core busy.
const REST: u32 = 10;

/// What is to be put together anew, and what has been.
pub(super) struct Renewals {
    /// Counts the changes.
    changes: AtomicU64,
    /// How many of them have been taken over.
    done: watch::Sender<u64>,
    has_come: Notify,
}

impl Renewals {
    pub(super) fn new() -> Self {
        Self { changes: AtomicU64::new(0), done: watch::Sender::new(0), has_come: Notify::new() }
    }

    /// Something has changed.
    pub(super) fn note(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.has_come.notify_one();
    }

    /// Waits until all that has changed up to now has been taken over.
    pub(super) async fn caught_up(&self) {
        let changes = self.changes.load(Ordering::Acquire);
        let mut done = self.done.subscribe();
        let _ = done.wait_for(|done| *done >= changes).await; // the sender is ours
    }
}

/// Takes changes over as they come, until the gateway is gone.
pub(super) async fn follow(renewals: Arc<Renewals>, relay: Weak<Relay>) {
    loop {
        renewals.has_come.notified().await;
        let Some(relay) = relay.upgrade() else { return };
        let changes = renewals.changes.load(Ordering::Acquire);
        let began = Instant::now();
        // One that panicked has changed nothing; the next change tries again.
        let _ = spawn_blocking(move || relay.take_over()).await;
        renewals.done.send_replace(changes);
        sleep((began.elapsed() * REST).min(LONGEST_PAUSE)).await;
    }
}
