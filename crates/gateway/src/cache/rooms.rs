//! What is known and under way of each upstream. Pure: nothing waits here.

use std::{collections::HashMap, sync::Arc, time::Duration};

use json_rpc::Raw;
use tokio::{sync::watch, time::Instant};

use super::{
    Digest, Epoch, Key,
    store::{Pile, Store},
};
use crate::errors::Answer;

/// What is known and under way of all upstreams.
pub(super) struct Rooms {
    rooms: HashMap<Arc<str>, Room>,
    store: Store,
}

/// What is known and under way of one upstream.
struct Room {
    /// `None` when the upstream is not used any more.
    epoch: Option<Epoch>,
    pile: Pile,
    /// Calls to which those that are the same are joined. One that is taken out goes on, and its answer is not kept.
    flights: HashMap<Digest, Flight>,
    /// Calls under way that may change what is known.
    changing: usize,
    /// Until when a change may still come of a call that ended before it was known to be over.
    unsure_until: Option<Instant>,
}

/// A call that others wait for.
pub(super) type Flight = Arc<watch::Sender<News>>;

/// What is known of a call that others wait for.
#[derive(Debug, Clone)]
pub(super) enum News {
    Nothing,
    /// Its answer, which is theirs too.
    Answer(Answer),
    /// Whatever it comes to is for its caller alone.
    Personal,
    /// Nobody makes it any more.
    Abandoned,
}

/// Where a call finds itself.
pub(super) enum Standing {
    Known(Raw, Duration),
    /// The same call is under way.
    Joined(watch::Receiver<News>),
    /// It is the first.
    Leading(Flight),
    /// The upstream was replaced since the call came.
    Outside,
}

/// What became of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    TooLarge,
    /// What it says may have changed since the call began.
    Outdated,
}

impl Rooms {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { rooms: HashMap::new(), store: Store::new(max_bytes) }
    }

    /// These are the upstreams from now on. Of those whose epoch is another nothing is known any more.
    pub(super) fn are(&mut self, upstreams: &[(Arc<str>, Epoch)]) {
        let Self { rooms, store } = self;
        for (name, epoch) in upstreams {
            let room = rooms.entry(name.clone()).or_insert_with(|| Room::new(store));
            if room.epoch != Some(*epoch) {
                room.forget(store);
                room.epoch = Some(*epoch);
            }
        }
        for (name, room) in rooms.iter_mut() {
            if !upstreams.iter().any(|(known, _)| known == name) {
                room.forget(store);
                room.epoch = None;
            }
        }
        rooms.retain(|_, room| !room.is_over());
    }

    pub(super) fn enter(&mut self, key: &Key) -> Standing {
        let room = self.rooms.get_mut(&key.upstream).filter(|room| room.epoch == Some(key.epoch));
        let Some(room) = room else { return Standing::Outside };
        if let Some((result, age)) = self.store.get(room.pile, key.digest) {
            return Standing::Known(result, age);
        }
        if let Some(flight) = room.flights.get(&key.digest) {
            return Standing::Joined(flight.subscribe());
        }
        let flight = Flight::new(watch::Sender::new(News::Nothing));
        room.flights.insert(key.digest, flight.clone());
        Standing::Leading(flight)
    }

    /// A call is over: whether nothing has happened since it began that its answer may not know of.
    fn land(&mut self, key: &Key, flight: &Flight) -> bool {
        let Some(room) = self.rooms.get_mut(&key.upstream) else { return false };
        let is_here = room.flights.get(&key.digest).is_some_and(|known| Arc::ptr_eq(known, flight));
        if is_here {
            room.flights.remove(&key.digest);
        }
        is_here && room.changing == 0 && room.unsure_until.is_none_or(|until| until <= Instant::now())
    }

    /// A call is over, and its answer not to be kept.
    pub(super) fn leave(&mut self, key: &Key, flight: &Flight) {
        self.land(key, flight);
    }

    /// A call is over, and its answer to be kept if nothing speaks against it.
    pub(super) fn keep(&mut self, key: &Key, flight: &Flight, result: &Raw, life: Duration) -> Fate {
        if !self.land(key, flight) {
            return Fate::Outdated;
        }
        let Some(room) = self.rooms.get(&key.upstream) else { return Fate::Outdated };
        if self.store.keep(room.pile, key.digest, result, life) { Fate::Kept } else { Fate::TooLarge }
    }

    /// What this upstream answered may have changed.
    pub(super) fn forget(&mut self, upstream: &str) {
        if let Some(room) = self.rooms.get_mut(upstream) {
            room.forget(&mut self.store);
        }
    }

    pub(super) fn forget_all(&mut self) {
        self.rooms.values_mut().for_each(|room| room.forget(&mut self.store));
    }

    /// Somebody is asked a question of this upstream: calls under way may come to what is for their callers alone. Gives those that
    /// nobody waits for any more from now on.
    pub(super) fn asked(&mut self, upstream: &str) -> Vec<Flight> {
        let flights = self.rooms.get_mut(upstream).map(|room| std::mem::take(&mut room.flights));
        flights.unwrap_or_default().into_values().collect()
    }

    /// A call that may change something begins: whether the upstream is known.
    pub(super) fn change_begins(&mut self, upstream: &str) -> bool {
        let Some(room) = self.rooms.get_mut(upstream) else { return false };
        room.changing += 1;
        room.forget(&mut self.store);
        true
    }

    /// A call that may change something is over, or its upstream may go on with it for so long.
    pub(super) fn change_ends(&mut self, upstream: &str, unsure_for: Option<Duration>) {
        let Some(room) = self.rooms.get_mut(upstream) else { return };
        room.changing -= 1;
        room.unsure_until = room.unsure_until.max(unsure_for.map(|time| Instant::now() + time));
        room.forget(&mut self.store);
        if room.is_over() {
            self.rooms.remove(upstream);
        }
    }
}

impl Room {
    fn new(store: &mut Store) -> Self {
        Self { epoch: None, pile: store.pile(), flights: HashMap::new(), changing: 0, unsure_until: None }
    }

    /// Nothing is known any more, and nothing that is asked for under way. Whoever waits for that asked before.
    fn forget(&mut self, store: &mut Store) {
        store.forget(self.pile);
        self.pile = store.pile();
        self.flights.clear();
    }

    fn is_over(&self) -> bool {
        self.epoch.is_none() && self.changing == 0
    }
}
