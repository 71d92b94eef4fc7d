//! Upstreams against servers in memory, on a clock that stands still while something can be done, and against real processes.

mod children;
mod eras;
mod failures;
mod http;
mod offers;
mod patience;
mod peer;
mod replicas;
mod sharing;
mod told;

use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use json_rpc::{Members, Notification, Outcome, Raw};
use mcp_transport::{Line, Outgoing};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::{
    Answered, Audience, Behalf, CallError, Connected, Observer, Place, Repeat, Upstream, desk::lock,
};
use crate::{Replica, UpstreamSettings, errors::Refusal};
use peer::Peer;

const SECOND: Duration = Duration::from_secs(1);

/// An upstream and what it tells.
struct World {
    upstream: Arc<Upstream>,
    watcher: Arc<Watcher>,
}

/// Hears what upstreams tell, and answers what they ask.
#[derive(Default)]
struct Watcher {
    changes: watch::Sender<usize>,
    told: Mutex<Vec<(Audience, String)>>,
    /// How many connections were made.
    connected: watch::Sender<usize>,
    asked: Mutex<Vec<(u64, String)>>,
    is_followed: AtomicBool,
    /// How often that was asked.
    looks: AtomicUsize,
}

#[async_trait]
impl Observer for Watcher {
    fn offer_changed(&self, _upstream: &str) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn told(&self, _upstream: &str, _place: Place, audience: Audience, notification: Notification) {
        lock(&self.told).push((audience, notification.method.into_owned()));
    }

    async fn asked(&self, _upstream: &str, session: u64, method: &str, _params: Option<Raw>) -> Outcome {
        lock(&self.asked).push((session, method.to_owned()));
        Ok(Raw::empty_object())
    }

    fn is_followed(&self, _upstream: &str, place: Place) -> bool {
        assert_eq!(place, Place(0));
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.is_followed.load(Ordering::SeqCst)
    }

    async fn attend(&self, connected: &Connected) {
        assert_eq!(&*connected.upstream, "it");
        self.connected.send_modify(|connected| *connected += 1);
    }
}

impl World {
    fn start(settings: UpstreamSettings) -> Self {
        let watcher = Arc::<Watcher>::default();
        let observer: Weak<dyn Observer> = Arc::downgrade(&(watcher.clone() as Arc<dyn Observer>));
        Self { upstream: Upstream::start("it".into(), settings, observer), watcher }
    }

    /// One that has told what it offers, or failed to.
    async fn settled(settings: UpstreamSettings) -> Self {
        let world = Self::start(settings);
        timeout(SECOND * 30, world.upstream.settled()).await.expect("it settles");
        world
    }

    /// Calls a tool as somebody without a session, and never again.
    async fn call(&self, tool: &str) -> Result<String, CallError> {
        self.call_as(&modern(), Repeat::Never, tool).await.map(|answered| text(&answered))
    }

    async fn call_as(&self, behalf: &Behalf, repeat: Repeat, tool: &str) -> Result<Answered, CallError> {
        self.upstream.call(behalf, repeat, None, &calling(tool)).await
    }

    /// The tools that it offers, once they are these.
    async fn offers(&self, tools: &[&str]) {
        let mut changes = self.watcher.changes.subscribe();
        let arrived = async {
            loop {
                changes.borrow_and_update();
                let offer = self.upstream.offer();
                let keys: Vec<_> = offer.tools.items.iter().map(|item| item.key.as_str()).collect();
                if offer.is_known && keys == tools {
                    return;
                }
                changes.changed().await.unwrap();
            }
        };
        timeout(SECOND * 100, arrived).await.expect("these tools are offered");
    }
}

fn settings(peer: &Peer) -> UpstreamSettings {
    UpstreamSettings::new(vec![Replica::new(peer.reach())])
}

/// A client that can do what the main connection can, and so shares it.
fn modern() -> Behalf {
    let capabilities = super::capabilities::shared(false);
    Behalf {
        session: None,
        owner: owner(&[], None),
        is_modern: true,
        capabilities,
        stay: None,
        trail: Arc::default(),
        whole: None,
    }
}

/// Whoever shows this key, where these are accepted.
fn owner(keys: &[&str], shown: Option<&str>) -> auth::Caller {
    let keys: Vec<_> = keys.iter().map(|key| secrecy::SecretString::from(*key)).collect();
    let shown = shown.map(|key| (::http::header::AUTHORIZATION, format!("Bearer {key}").parse().unwrap()));
    auth::Keys::new(&keys).caller(&::http::HeaderMap::from_iter(shown)).unwrap()
}

fn legacy(session: u64) -> Behalf {
    Behalf { session: Some(session), is_modern: false, ..modern() }
}

fn calling(tool: &str) -> impl Fn(&Line) -> Result<Outgoing, Refusal> + Send + Sync {
    let params = [("name", Raw::text(tool))].into_iter().collect::<Members>().to_raw();
    move |line| {
        Ok(Outgoing {
            method: "tools/call".into(),
            params: line.stamp(Some(params.clone())),
            mirrored: Vec::new(),
        })
    }
}

/// What a tool of [`Peer`] answered.
fn text(answered: &Answered) -> String {
    let result = Members::of(answered.outcome.as_ref().expect("it is a result")).unwrap();
    result.get("text").unwrap().parse().unwrap()
}

/// What comes next, which is not long in coming.
async fn next<T>(queue: &mut mpsc::UnboundedReceiver<T>) -> T {
    timeout(SECOND * 100, queue.recv()).await.expect("it comes").expect("somebody sends it")
}
