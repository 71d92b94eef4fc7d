//! What is kept, within a bound of memory: what was not asked for the longest goes first.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use json_rpc::Raw;
use tokio::time::Instant;

use super::Digest;

/// About what an entry takes beside its result, in bytes: its key, twice, and its places in the two trees.
const OVERHEAD: usize = 256;

/// An entry takes at most one of so many parts of the room.
const MOST_PARTS: usize = 8;

/// What was forgotten goes in small steps, so that no call waits for all of it: so many entries for each that is kept.
const STEP: usize = 16;

/// One pile of entries: an upstream's, until it is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pile(u64);

type Place = (Pile, Digest);

/// What is kept.
pub(super) struct Store {
    most: usize,
    bytes: usize,
    entries: BTreeMap<Place, Kept>,
    /// By the turns in which they were asked for last.
    order: BTreeMap<u64, Place>,
    turn: u64,
    piles: u64,
    forgotten: VecDeque<Pile>,
}

struct Kept {
    result: Raw,
    answered: Instant,
    until: Instant,
    turn: u64,
}

impl Store {
    /// One for at most this many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            bytes: 0,
            entries: BTreeMap::new(),
            order: BTreeMap::new(),
            turn: 0,
            piles: 0,
            forgotten: VecDeque::new(),
        }
    }

    /// Another pile, with nothing on it.
    pub(super) fn pile(&mut self) -> Pile {
        self.piles += 1;
        Pile(self.piles)
    }

    /// What is known, and how old it is.
    pub(super) fn get(&mut self, pile: Pile, digest: Digest) -> Option<(Raw, Duration)> {
        let now = Instant::now();
        let place = (pile, digest);
        let kept = self.entries.get_mut(&place)?;
        if kept.until <= now {
            self.remove(place);
            return None;
        }
        self.turn += 1;
        self.order.remove(&kept.turn);
        kept.turn = self.turn;
        self.order.insert(self.turn, place);
        Some((kept.result.clone(), now - kept.answered))
    }

    /// Keeps what was answered now; whether there is room for it.
    pub(super) fn keep(&mut self, pile: Pile, digest: Digest, result: &Raw, life: Duration) -> bool {
        let weight = weight(result);
        let now = Instant::now();
        let Some(until) = now.checked_add(life) else { return false };
        if weight > self.most / MOST_PARTS {
            return false;
        }
        let place = (pile, digest);
        self.remove(place);
        self.sweep();
        while self.bytes + weight > self.most {
            let Some((_, oldest)) = self.order.first_key_value() else { break };
            self.remove(*oldest);
        }
        self.turn += 1;
        self.bytes += weight;
        self.order.insert(self.turn, place);
        // The message that it is a part of may be much larger.
        let kept = Kept { result: result.detached(), answered: now, until, turn: self.turn };
        self.entries.insert(place, kept);
        true
    }

    /// Forgets a pile: nobody may ask for it any more. Its memory is free once there is time, or it is needed.
    pub(super) fn forget(&mut self, pile: Pile) {
        if self.first(pile).is_some() {
            self.forgotten.push_back(pile);
        }
        self.sweep();
    }

    fn sweep(&mut self) {
        for _ in 0..STEP {
            let Some(pile) = self.forgotten.front() else { return };
            match self.first(*pile) {
                Some(place) => self.remove(place),
                None => drop(self.forgotten.pop_front()),
            }
        }
    }

    fn first(&self, pile: Pile) -> Option<Place> {
        let all = (pile, [0; 32])..=(pile, [u8::MAX; 32]);
        self.entries.range(all).next().map(|(place, _)| *place)
    }

    fn remove(&mut self, place: Place) {
        if let Some(kept) = self.entries.remove(&place) {
            self.order.remove(&kept.turn);
            self.bytes -= weight(&kept.result);
        }
    }
}

fn weight(result: &Raw) -> usize {
    result.as_bytes().len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LIFE: Duration = Duration::from_secs(60);

    fn result(bytes: usize) -> Raw {
        Raw::text(&"x".repeat(bytes - 2))
    }

    fn digest(number: u16) -> Digest {
        let mut digest = [0; 32];
        digest[..2].copy_from_slice(&number.to_be_bytes());
        digest
    }

    fn has(store: &mut Store, pile: Pile, number: u16) -> bool {
        store.get(pile, digest(number)).is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_asked_for_the_longest_goes_first_and_the_bound_holds() {
        let each = 1_000 + OVERHEAD;
        let mut store = Store::new(10 * each);
        let pile = store.pile();
        for number in 0..10 {
            assert!(store.keep(pile, digest(number), &result(1_000), LIFE));
        }
        assert!(has(&mut store, pile, 0));

        for number in 10..14 {
            assert!(store.keep(pile, digest(number), &result(1_000), LIFE));
            assert!(store.bytes <= store.most && store.order.len() == store.entries.len());
        }

        assert!(has(&mut store, pile, 0) && !has(&mut store, pile, 1) && !has(&mut store, pile, 4));
        assert!(has(&mut store, pile, 5) && has(&mut store, pile, 13));
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_that_takes_too_much_of_the_room_is_not_kept() {
        let mut store = Store::new(8 * (1_000 + OVERHEAD));
        let pile = store.pile();
        assert!(!store.keep(pile, digest(1), &result(1_001), LIFE));
        assert!(store.keep(pile, digest(1), &result(1_000), LIFE));
        assert!(!Store::new(0).keep(pile, digest(1), &result(2), LIFE));
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_known_for_as_long_as_it_lives_and_tells_its_age() {
        let mut store = Store::new(1 << 20);
        let pile = store.pile();
        store.keep(pile, digest(1), &result(10), LIFE);

        advance(LIFE - Duration::from_millis(1)).await;
        let (_, age) = store.get(pile, digest(1)).unwrap();
        assert_eq!(age, LIFE - Duration::from_millis(1));
        advance(Duration::from_millis(1)).await;

        assert!(!has(&mut store, pile, 1));
        assert_eq!((store.bytes, store.entries.len(), store.order.len()), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pile_that_is_forgotten_goes_in_steps_and_no_other_does() {
        let mut store = Store::new(1 << 20);
        let (one, other) = (store.pile(), store.pile());
        for number in 0..100 {
            store.keep(one, digest(number), &result(10), LIFE);
        }
        store.keep(other, digest(0), &result(10), LIFE);

        store.forget(one);
        assert_eq!(store.entries.len(), 101 - STEP);
        for number in 1..10 {
            store.keep(other, digest(number), &result(10), LIFE);
        }

        assert_eq!((store.entries.len(), store.forgotten.len()), (10, 0));
        assert!(has(&mut store, other, 0));
        assert_eq!(store.bytes, 10 * (10 + OVERHEAD));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_again_is_counted_once() {
        let mut store = Store::new(1 << 20);
        let pile = store.pile();
        store.keep(pile, digest(1), &result(1_000), LIFE);
        store.keep(pile, digest(1), &result(10), LIFE);
        assert_eq!((store.bytes, store.order.len()), (10 + OVERHEAD, 1));
    }
}
