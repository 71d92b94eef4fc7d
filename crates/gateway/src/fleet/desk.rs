//! What the parts of one upstream share: its settings, what it offers, what is known of how it does.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Observer, Place, changes::EVERYTHING};
use crate::{UpstreamSettings, catalogue::Offer};

/// Calls of which it is remembered how long they took.
const REMEMBERED: usize = 64;

/// What the parts of one upstream share.
pub(super) struct Desk {
    pub(super) name: Arc<str>,
    pub(super) settings: UpstreamSettings,
    pub(super) observer: Weak<dyn Observer>,
    /// Nobody wants the upstream any more.
    pub(super) stop: CancellationToken,
    /// Keepers of connections, and what closes them.
    pub(super) tasks: TaskTracker,
    offers: Mutex<Offers>,
    settled: watch::Sender<bool>,
    latencies: Mutex<VecDeque<Duration>>,
}

#[derive(Default)]
struct Offers {
    current: Arc<Offer>,
    /// By places: what was read there last, while it is connected to.
    read: Vec<Option<Arc<Offer>>>,
    /// Places that could not be connected to.
    failed: Vec<bool>,
}

impl Desk {
    pub(super) fn new(name: Arc<str>, settings: UpstreamSettings, observer: Weak<dyn Observer>) -> Self {
        let places = settings.replicas.len();
        let offers =
            Offers { current: Arc::default(), read: vec![None; places], failed: vec![false; places] };
        Self {
            name,
            settings,
            observer,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            offers: Mutex::new(offers),
            settled: watch::Sender::new(places == 0),
            latencies: Mutex::default(),
        }
    }

    /// What the upstream offers, as far as is known.
    pub(super) fn offer(&self) -> Arc<Offer> {
        lock(&self.offers).current.clone()
    }

    /// What one place offers has been read. The first of the places that are connected to speaks for all.
    pub(super) fn publish(&self, place: Place, offer: Offer) {
        let offer = Arc::new(offer);
        let place = usize::from(place.0);
        let changed = {
            let mut offers = lock(&self.offers);
            offers.read[place] = Some(offer.clone());
            let speaks = offers.read[..place].iter().all(Option::is_none);
            let changed = speaks && !is_same(&offers.current, &offer);
            if changed {
                offers.current = offer;
            }
            changed
        };
        if changed && let Some(observer) = self.observer.upgrade() {
            observer.offer_changed(&self.name);
        }
        self.settled.send_replace(true); // whoever waited finds the observer informed
    }

    /// A place is not connected to any more.
    pub(super) fn gone(&self, place: Place) {
        lock(&self.offers).read[usize::from(place.0)] = None;
    }

    /// A place cannot be connected to.
    pub(super) fn failed(&self, place: Place) {
        let mut offers = lock(&self.offers);
        offers.failed[usize::from(place.0)] = true;
        if offers.failed.iter().all(|failed| *failed) {
            drop(offers);
            self.settled.send_replace(true);
        }
    }

    /// Waits until it is known what the upstream offers, or that it cannot be reached.
    pub(super) async fn settled(&self) {
        let mut settled = self.settled.subscribe();
        let _ = settled.wait_for(|settled| *settled).await; // we hold the sender
    }

    /// A call took so long.
    pub(super) fn took(&self, time: Duration) {
        let mut latencies = lock(&self.latencies);
        if latencies.len() == REMEMBERED {
            latencies.pop_front();
        }
        latencies.push_back(time);
    }

    /// How long the last calls took, the middle one of them.
    pub(super) fn latency(&self) -> Option<Duration> {
        let mut latencies: Vec<_> = lock(&self.latencies).iter().copied().collect();
        let middle = latencies.len() / 2;
        (!latencies.is_empty()).then(|| *latencies.select_nth_unstable(middle).1)
    }
}

fn is_same(one: &Offer, other: &Offer) -> bool {
    let listings = EVERYTHING.into_iter().all(|kind| {
        let (one, other) = (one.listing(kind), other.listing(kind));
        one.items == other.items
            && one.time_to_live == other.time_to_live
            && one.is_private == other.is_private
    });
    listings
        && one.is_known == other.is_known
        && one.capabilities == other.capabilities
        && one.instructions == other.instructions
}

/// A thread that panicked has left nothing half done here.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
