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
    settled: watch::Sender<Settled>,
    latencies: Mutex<VecDeque<Duration>>,
}

#[derive(Default)]
struct Offers {
    current: Arc<Offer>,
    /// By places: what was read there last, while it is connected to.
    read: Vec<Option<Arc<Offer>>>,
    /// By places: what was read there last, also while it is not connected to.
    told: Vec<Option<Arc<Offer>>>,
    /// Places that could not be connected to.
    failed: Vec<bool>,
}

/// What is known of what an upstream offers.
#[derive(Default, Clone, Copy)]
struct Settled {
    /// One place has told, or none can.
    is_known: bool,
    /// All that can have told.
    is_complete: bool,
}

impl Desk {
    pub(super) fn new(name: Arc<str>, settings: UpstreamSettings, observer: Weak<dyn Observer>) -> Self {
        let places = settings.replicas.len();
        let offers = Offers {
            current: Arc::default(),
            read: vec![None; places],
            told: vec![None; places],
            failed: vec![false; places],
        };
        let settled = Settled { is_known: places == 0, is_complete: places == 0 };
        Self {
            name,
            settings,
            observer,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            offers: Mutex::new(offers),
            settled: watch::Sender::new(settled),
            latencies: Mutex::default(),
        }
    }

    /// What the upstream offers, as far as is known.
    pub(super) fn offer(&self) -> Arc<Offer> {
        lock(&self.offers).current.clone()
    }

    /// What places offer that have other tools than [`Desk::offer`] says.
    pub(super) fn other_offers(&self) -> Vec<Arc<Offer>> {
        let offers = lock(&self.offers);
        let is_other = |told: &&Arc<Offer>| told.tools.items != offers.current.tools.items;
        offers.told.iter().flatten().filter(is_other).cloned().collect()
    }

    /// What one place offers has been read. The first of the places that are connected to speaks for all.
    pub(super) fn publish(&self, place: Place, offer: Offer) {
        let offer = Arc::new(offer);
        let place = usize::from(place.0);
        let changed = {
            let mut offers = lock(&self.offers);
            offers.read[place] = Some(offer.clone());
            let speaks = offers.read[..place].iter().all(Option::is_none);
            let mut changed = speaks && !is_same(&offers.current, &offer);
            if changed {
                offers.current = offer.clone();
            }
            let before = offers.told[place].replace(offer.clone());
            // Calls go there too, so whoever approves tools wants to know.
            changed |= before.unwrap_or_else(|| offers.current.clone()).tools.items != offer.tools.items;
            changed
        };
        if changed && let Some(observer) = self.observer.upgrade() {
            observer.offer_changed(&self.name);
        }
        self.settle(); // whoever waited finds the observer informed
    }

    /// A place is not connected to any more.
    pub(super) fn gone(&self, place: Place) {
        lock(&self.offers).read[usize::from(place.0)] = None;
    }

    /// A place cannot be connected to.
    pub(super) fn failed(&self, place: Place) {
        lock(&self.offers).failed[usize::from(place.0)] = true;
        self.settle();
    }

    fn settle(&self) {
        let offers = lock(&self.offers);
        let has_failed = |place: usize| offers.failed[place];
        let told = &offers.told;
        let is_known = told.iter().any(Option::is_some) || (0..told.len()).all(has_failed);
        let is_complete = (0..told.len()).all(|place| told[place].is_some() || has_failed(place));
        drop(offers);
        self.settled.send_modify(|settled| {
            settled.is_known |= is_known;
            settled.is_complete |= is_complete;
        });
    }

    /// Waits until it is known what the upstream offers, or that it cannot be reached.
    pub(super) async fn settled(&self) {
        let mut settled = self.settled.subscribe();
        let _ = settled.wait_for(|settled| settled.is_known).await; // we hold the sender
    }

    /// Waits until all of its places have told what they offer, or could not be connected to.
    pub(super) async fn settled_everywhere(&self) {
        let mut settled = self.settled.subscribe();
        let _ = settled.wait_for(|settled| settled.is_complete).await; // as above
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
