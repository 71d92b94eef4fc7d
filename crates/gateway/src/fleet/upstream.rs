//! One upstream, as the gateway uses it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mcp_transport::Party;
use tokio_util::sync::DropGuard;

use super::{
    Answered, Behalf, CallError, Observer, Place, Repeat,
    call::{Build, Call},
    clock,
    desk::{Desk, lock},
    gate::Gate,
    party::LONGEST_QUESTION,
    pool::Pool,
    site::Site,
    stake::Stake,
};
use crate::{UpstreamHealth, UpstreamSettings, UpstreamState, catalogue::Offer};

/// One upstream: its replicas, their connections, and what it offers.
pub(crate) struct Upstream {
    pub(super) desk: Arc<Desk>,
    pub(super) pools: Vec<Pool>,
    pub(super) gate: Arc<Gate>,
    /// Where sessions live that have connections of their own, if there is a choice.
    pub(super) homes: Option<Mutex<HashMap<u64, u16>>>,
    turn: AtomicUsize,
    _stop: DropGuard,
}

impl Upstream {
    /// An upstream that is connected to in the background. `observer` hears of it. Must be called within a runtime.
    pub(crate) fn start(
        name: Arc<str>,
        settings: UpstreamSettings,
        observer: Weak<dyn Observer>,
    ) -> Arc<Self> {
        let gate = Gate::new(settings.concurrency, settings.queue);
        let homes = Self::keeps_homes(settings.sessions, settings.replicas.len()).then(Mutex::default);
        let desk = Arc::new(Desk::new(name, settings, observer));
        let replicas = desk.settings.replicas.iter().cloned();
        let pools = replicas
            .zip(0..)
            .map(|(replica, place)| Pool::start(Site::new(desk.clone(), Place(place), replica)));
        let pools = pools.collect();
        let stop = desk.stop.clone().drop_guard();
        Arc::new(Self { desk, pools, gate, homes, turn: AtomicUsize::new(0), _stop: stop })
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.desk.name
    }

    /// All of its replicas.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        (0..).map(Place).take(self.pools.len())
    }

    /// What it offers, as far as is known. It stays while the upstream is away.
    pub(crate) fn offer(&self) -> Arc<Offer> {
        self.desk.offer()
    }

    /// What replicas offer that have other tools than that.
    pub(crate) fn other_offers(&self) -> Vec<Arc<Offer>> {
        self.desk.other_offers()
    }

    /// Waits until each of its replicas has told what it offers, or could not be reached.
    pub(crate) async fn settled_everywhere(&self) {
        self.desk.settled_everywhere().await;
    }

    /// Waits until it has told what it offers, or could not be reached.
    pub(crate) async fn settled(&self) {
        self.desk.settled().await;
    }

    /// Sends what `build` makes for the connection that is chosen, and again if that is harmless. Dropping the future cancels the call.
    pub(crate) async fn call(
        &self,
        behalf: &Behalf,
        repeat: Repeat,
        party: Option<Arc<dyn Party>>,
        build: Build<'_>,
    ) -> Result<Answered, CallError> {
        let stake = Stake::new(self.enter(behalf).await?, self.desk.settings.call_timeout);
        Call::new(self, behalf, party, build, stake).run(repeat).await
    }

    pub(super) fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn health(&self) -> UpstreamHealth {
        let starts = |pool: &Pool| pool.site.starts.load(Ordering::Relaxed).saturating_sub(1);
        UpstreamHealth {
            name: self.desk.name.to_string(),
            state: self.state(),
            last_error: self.last_error(),
            latency_ms: self.desk.latency().map(|time| time.as_secs_f64() * 1_000.0),
            restarts: self.pools.iter().map(starts).sum(),
            active: self.gate.active(),
            queued: self.gate.waiting(),
            tools: self.desk.offer().tools.items.len(),
        }
    }

    /// What went wrong last at any of the replicas and was not mended since.
    pub(super) fn last_error(&self) -> Option<String> {
        let errors = self.pools.iter().filter_map(|pool| pool.site.last_error());
        errors.max_by_key(|(when, _)| *when).map(|(_, error)| error)
    }

    /// The last lines of the standard error of one of its programs that there is no connection to.
    pub(crate) fn stderr(&self) -> Vec<String> {
        self.pools.iter().map(|pool| pool.site.stderr()).find(|lines| !lines.is_empty()).unwrap_or_default()
    }

    fn state(&self) -> UpstreamState {
        let state = |pool: &Pool| {
            if pool.site.is_refusing() { UpstreamState::Open } else { pool.main.health() }
        };
        let states: Vec<_> = self.pools.iter().map(state).collect();
        let Some(first) = states.first() else { return UpstreamState::Down };
        if states.iter().all(|state| state == first) {
            *first
        } else if states.iter().any(|state| matches!(state, UpstreamState::Ready | UpstreamState::Idle)) {
            UpstreamState::Degraded
        } else if states.contains(&UpstreamState::Connecting) {
            UpstreamState::Connecting
        } else {
            UpstreamState::Down
        }
    }

    /// A client's session has ended, and with it the connections that were its alone.
    pub(crate) fn forget(&self, session: u64) {
        self.pools.iter().for_each(|pool| pool.forget(session));
        if let Some(homes) = &self.homes {
            lock(homes).remove(&session);
        }
    }

    /// Has main connections made that were closed because nobody used them.
    pub(crate) fn wake(&self) {
        self.pools.iter().for_each(|pool| pool.main.want());
    }

    /// Lets what was given up try again.
    pub(crate) fn revive(&self) {
        self.pools.iter().for_each(Pool::revive);
    }

    /// Closes all connections in the background, whatever is under way.
    pub(crate) fn stop(&self) {
        self.gate.close();
        self.desk.stop.cancel();
    }

    /// Closes all connections once the calls under way are over: those that report progress, and those whose clients are asked, may
    /// take much longer than others.
    pub(crate) async fn retire(&self) {
        let longest = self.desk.settings.call_timeout.saturating_mul(clock::PATIENCE);
        self.close(longest.saturating_add(LONGEST_QUESTION)).await;
    }

    /// Closes all connections and waits until they are gone, child processes too. Newcomers are sent away at once; calls under way have
    /// until `grace` is over, or until [`Upstream::stop`] is called.
    pub(crate) async fn close(&self, grace: Duration) {
        let _cut_short = self.desk.stop.run_until_cancelled(self.gate.drain(grace)).await;
        self.stop();
        self.desk.tasks.close();
        self.desk.tasks.wait().await;
    }
}
