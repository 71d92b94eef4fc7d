//! Tells the holds of one journal apart, and those that live from those that are gone.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The tickets of one journal. In memory, so that letting go needs no disk.
#[derive(Default)]
pub(super) struct Tickets(Mutex<Issued>);

#[derive(Default)]
struct Issued {
    next: i64,
    live: HashSet<i64>,
}

impl Tickets {
    /// One that nobody has had.
    pub(super) fn issue(&self) -> i64 {
        let mut issued = self.issued();
        let ticket = issued.next;
        issued.next += 1;
        issued.live.insert(ticket);
        ticket
    }

    pub(super) fn give_back(&self, ticket: i64) {
        self.issued().live.remove(&ticket);
    }

    pub(super) fn is_live(&self, ticket: i64) -> bool {
        self.issued().live.contains(&ticket)
    }

    fn issued(&self) -> MutexGuard<'_, Issued> {
        // Nothing that holds the lock can leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
