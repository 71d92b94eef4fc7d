//! Ids of requests. Each is a UUID; none is asked of the system, which takes longer than all else that is noted of a request.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    sync::atomic::{AtomicU64, Ordering},
};

use uuid::{Builder, Uuid};

/// Gives ids that nobody can guess: hashes of a counter, keyed with what was random at the start.
#[derive(Default)]
pub(super) struct Ids {
    keys: (RandomState, RandomState),
    next: AtomicU64,
}

impl Ids {
    pub(super) fn next(&self) -> Uuid {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (high, low) = (self.keys.0.hash_one(number), self.keys.1.hash_one(!number));
        let bits = u128::from(high) << 64 | u128::from(low);
        Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_random_uuids_of_version_4_and_never_the_same() {
        let (ids, others) = (Ids::default(), Ids::default());
        let all: HashSet<_> = (0..1_000).flat_map(|_| [ids.next(), others.next()]).collect();
        assert_eq!(all.len(), 2_000);
        assert!(all.iter().all(|id| id.get_version_num() == 4));
    }
}
