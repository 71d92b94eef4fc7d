//! What a running gateway consists of: its upstreams, what they offer together, and its clients.

mod renewal;
mod view;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::{join, join_all};
use json_rpc::{Notification, Outcome, Raw};
use mcp_transport::Arrival;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::{
    Settings,
    bridge::{self, Exchange, KnownTasks, Level, Parked, Seal, Subscriptions},
    cache::Cache,
    errors,
    fleet::{Audience, Connected, Observer, Place, Upstream},
    own::OwnTools,
    session::Session,
    trail::Trails,
};
use renewal::Renewals;
use view::Frame;
pub(crate) use view::{Member, View};

/// How long the first lists wait for upstreams that have not told what they offer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running gateway, as all that answers requests knows it.
pub(crate) struct Relay {
    view: watch::Sender<Arc<View>>,
    /// Whether the wait for the first offers is over.
    is_known: AtomicBool,
    started: Instant,
    /// Held while the view is made anew.
    renewal: Mutex<()>,
    numbers: AtomicU64,
    /// Sessions of the older era, by their numbers.
    sessions: Mutex<HashMap<u64, Weak<Session>>>,
    pub(crate) seal: Arc<Seal>,
    pub(crate) parked: Parked<Exchange>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) tasks: KnownTasks,
    pub(crate) trails: Trails,
    pub(crate) cache: Cache,
    /// Upstreams that are being closed, and what closes them.
    leaving: Mutex<Vec<Weak<Upstream>>>,
    leavings: TaskTracker,
    renewals: Arc<Renewals>,
    _renewing: AbortOnDropHandle<()>,
    myself: Weak<Self>,
}

impl Relay {
    /// Starts the upstreams.
    pub(crate) fn start(settings: Settings) -> Arc<Self> {
        let seal = Arc::new(Seal::new(settings.state_key.as_ref()));
        let renewals = Arc::new(Renewals::new());
        let relay = Arc::new_cyclic(|myself| Self {
            view: watch::Sender::new(Arc::new(View::of(BTreeMap::new(), Arc::default()))),
            is_known: AtomicBool::new(false),
            started: Instant::now(),
            renewal: Mutex::default(),
            numbers: AtomicU64::new(0),
            sessions: Mutex::default(),
            seal: seal.clone(),
            parked: Parked::new(seal),
            subscriptions: Subscriptions::default(),
            tasks: KnownTasks::default(),
            trails: Trails::default(),
            cache: Cache::new(settings.cache_bytes),
            leaving: Mutex::default(),
            leavings: TaskTracker::new(),
            _renewing: AbortOnDropHandle::new(tokio::spawn(renewal::follow(
                renewals.clone(),
                myself.clone(),
            ))),
            renewals,
            myself: myself.clone(),
        });
        relay.apply(settings);
        relay
    }

    /// Takes over other settings. Upstreams that stay the same are not touched; others are replaced, and what they were doing
    /// may be finished.
    pub(crate) fn apply(&self, settings: Settings) {
        self.trails.write_to(settings.access_log);
        let renewal = self.renewal();
        let mut members = self.view().members.clone();
        let (mut next, mut dismissed) = (BTreeMap::new(), Vec::new());
        for (name, settings) in settings.upstreams {
            let name = Arc::<str>::from(name);
            let member = match members.remove(&name) {
                Some(old) if old.settings.is_same(&settings) => {
                    old.upstream.revive();
                    let is_kept_alike = old.settings.cache == settings.cache;
                    let epoch = if is_kept_alike { old.epoch } else { self.cache.epoch() };
                    Member { settings: settings.into(), epoch, ..old }
                }
                old => {
                    let before = old.as_ref().map(Member::offer);
                    dismissed.extend(old);
                    let upstream = Upstream::start(name.clone(), settings.clone(), self.myself.clone());
                    Member { upstream, settings: settings.into(), epoch: self.cache.epoch(), before }
                }
            };
            next.insert(name, member);
        }
        dismissed.extend(members.into_values());
        let frame = Frame {
            separator: settings.separator,
            expose: settings.expose,
            own: OwnTools::of(settings.expose, settings.batch, settings.pipelines, settings.runs),
            pins: settings.pins,
        };
        let epochs: Vec<_> = next.iter().map(|(name, member)| (name.clone(), member.epoch)).collect();
        self.show(&renewal, View::of(next, frame.into()));
        // Not before: until then calls come that know the upstreams as they were.
        self.cache.upstreams_are(&epochs);
        // Not before: a call that is sent away looks up who has the name now.
        dismissed.into_iter().for_each(|old| self.dismiss(old));
    }

    /// Closes an upstream that is not wanted any more, once what it is doing is done.
    fn dismiss(&self, member: Member) {
        let mut leaving = self.leaving();
        leaving.retain(|known| known.strong_count() > 0);
        leaving.push(Arc::downgrade(&member.upstream));
        self.leavings.spawn(async move { member.upstream.retire().await });
    }

    /// Shows this view, and tells clients which lists are others now.
    fn show(&self, _renewal: &MutexGuard<'_, ()>, next: View) {
        let next = Arc::new(next);
        let old = self.view.send_replace(next.clone());
        let changed = next.catalogue.changed(&old.catalogue);
        let keeps_uris = next.catalogue.keeps_uris() && old.catalogue.keeps_uris();
        let leads_alike = changed.is_empty() && next.catalogue.has_same_homes(&old.catalogue);
        if !(leads_alike || keeps_uris) {
            self.cache.forget_all(); // what is kept may name resources as they were called before
        }
        if !changed.is_empty() {
            self.subscriptions.changed(&changed);
        }
    }

    /// Puts together anew what all upstreams offer.
    fn take_over(&self) {
        loop {
            let present = self.view();
            let next = View::of(present.members.clone(), present.frame.clone());
            let renewal = self.renewal();
            // Other settings may have come meanwhile; whoever brings them need not wait for this.
            if Arc::ptr_eq(&present, &self.view()) {
                return self.show(&renewal, next);
            }
        }
    }

    fn leaving(&self) -> MutexGuard<'_, Vec<Weak<Upstream>>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renewal(&self) -> MutexGuard<'_, ()> {
        self.renewal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The upstreams and what they offer, now.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    pub(crate) fn weak(&self) -> Weak<Self> {
        self.myself.clone()
    }

    /// Waits until all upstreams that there were at the start have told what they offer, or could not be reached; at most for
    /// the first seconds.
    pub(crate) async fn known(&self) {
        if self.is_known.load(Ordering::Relaxed) {
            return;
        }
        // Whoever is late is seen later: the lists change then.
        let _ = timeout_at(self.started + PATIENCE, self.settled()).await;
        self.is_known.store(true, Ordering::Relaxed);
    }

    /// The upstream that a name looks like, while that has not told what it offers.
    pub(crate) fn silent(&self, name: &str) -> Option<Member> {
        let view = self.view();
        view.members.get(view.catalogue.silent(name)?).cloned()
    }

    /// Waits until an upstream has told what it offers, and the catalogue has it, or it could not be reached.
    pub(crate) async fn has_told(&self, member: &Member) {
        member.upstream.settled().await;
        self.renewals.caught_up().await;
    }

    /// Waits until all upstreams have told what they offer, or could not be reached.
    pub(crate) async fn settled(&self) {
        let view = self.view();
        join_all(view.members.values().map(|member| member.upstream.settled())).await;
        self.renewals.caught_up().await;
    }

    /// The same for each of their replicas.
    pub(crate) async fn settled_everywhere(&self) {
        let view = self.view();
        join_all(view.members.values().map(|member| member.upstream.settled_everywhere())).await;
        self.renewals.caught_up().await;
    }

    /// The session of the older era of this number, while it is there.
    pub(crate) fn session(&self, number: u64) -> Option<Arc<Session>> {
        self.sessions().get(&number).and_then(Weak::upgrade)
    }

    /// A client has come.
    pub(crate) fn open(&self, arrival: Arrival) -> Session {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        Session::new(number, arrival, self.myself.clone())
    }

    /// A client of the older era has introduced itself.
    pub(crate) fn joined(&self, session: &Arc<Session>) {
        self.sessions().insert(session.number, Arc::downgrade(session));
    }

    /// A client tells something.
    pub(crate) fn hear(&self, session: &Arc<Session>, notification: Notification) {
        // Whatever else clients tell is about requests that are over, or about what upstreams ask for each time.
        if notification.method == "notifications/initialized" && session.introduction().is_some() {
            self.subscriptions.joined(session);
        }
    }

    /// A client has left for good.
    pub(crate) fn left(&self, session: u64, level: Level) {
        self.sessions().remove(&session);
        self.subscriptions.left(session, level);
        for member in self.view().members.values() {
            member.upstream.forget(session);
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<u64, Weak<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes all upstreams.
    pub(crate) async fn close(&self, grace: Duration) {
        // What waits for its client would be waited for in vain.
        self.parked.close();
        let view = self.view();
        // Those that are leaving already have as long as the others.
        let leaving: Vec<_> = self.leaving().iter().filter_map(Weak::upgrade).collect();
        let here = view.members.values().map(|member| member.upstream.close(grace));
        join(join_all(here), join_all(leaving.iter().map(|upstream| upstream.close(grace)))).await;
        drop(leaving);
        self.leavings.close();
        self.leavings.wait().await;
        self.subscriptions.close().await;
        if let Some(log) = self.trails.log() {
            log.flush().await;
        }
    }
}

/// Whether an upstream tells that something of it is not as it was: what it answered before may not be true any more.
pub(crate) fn is_change(notification: &Notification) -> bool {
    let method = notification.method.as_ref();
    method == "notifications/resources/updated" || method.starts_with("notifications/tasks")
}

#[async_trait]
impl Observer for Relay {
    fn may_have_changed(&self, upstream: &str) {
        self.cache.forget(upstream);
    }

    fn offer_changed(&self, upstream: &str) {
        self.cache.forget(upstream);
        self.renewals.note();
    }

    fn told(&self, upstream: &str, place: Place, audience: Audience, notification: Notification) {
        if is_change(&notification) {
            self.cache.forget(upstream); // before anybody hears of it and asks again
        }
        self.subscriptions.told(self, upstream, place, audience, notification);
    }

    async fn asked(&self, upstream: &str, session: u64, method: &str, params: Option<Raw>) -> Outcome {
        self.cache.asked(upstream);
        let session = self.session(session);
        let view = self.view();
        match (session, view.members.get_key_value(upstream)) {
            (Some(session), Some((upstream, _))) => {
                bridge::ask(self, &session, &session.link, upstream, (method, params)).await
            }
            (Some(_), None) => Err(errors::not_answered("the gateway does not use this server any more")),
            (None, _) => Err(errors::not_answered(
                "the client has left, or is of the newer era and calls several things at once, so that it cannot be told which one asks",
            )),
        }
    }

    fn is_followed(&self, upstream: &str, place: Place) -> bool {
        self.subscriptions.is_followed(upstream, place)
    }

    async fn attend(&self, connected: &Connected) {
        self.subscriptions.attend(self.myself.clone(), connected).await;
    }
}
