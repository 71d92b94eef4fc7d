//! Results of tools that only read, kept for a while; and calls that are the same made once.
//!
//! Nothing from before a change is kept after it: a change takes the calls under way out of their upstream's room, and only what is
//! still there when it is answered is kept.

mod key;
mod rooms;
mod store;
#[cfg(test)]
mod tests;
mod worth;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

use crate::{bridge::Incoming, catalogue::Route, errors::Answer, relay::Member, trail::Trail};
use rooms::{Fate, Flight, News, Rooms, Standing};
use worth::Worth;

/// How results of an upstream's read-only tools are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSettings {
    /// How long.
    pub time_to_live: Duration,
    /// Who shares them.
    pub scope: CacheScope,
}

/// Who shares what is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CacheScope {
    /// Each caller has its own: those who show the same key, and where no key is needed all.
    #[default]
    Private,
    /// All callers.
    Public,
}

/// How long nothing is kept after a call that may change something was cut short, or became a task: its upstream may still be at it.
const UNSURE: Duration = Duration::from_secs(60);

/// What was answered before.
pub(crate) struct Cache {
    rooms: Mutex<Rooms>,
    epochs: AtomicU64,
}

/// A time during which an upstream and how it is used are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

type Digest = [u8; 32];

/// What answers are the same for.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    upstream: Arc<str>,
    epoch: Epoch,
    digest: Digest,
}

impl Cache {
    /// An empty one that takes up at most this many bytes.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { rooms: Mutex::new(Rooms::new(max_bytes)), epochs: AtomicU64::new(0) }
    }

    /// One that was never before.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epochs.fetch_add(1, Ordering::Relaxed))
    }

    /// These are the upstreams from now on. Of those whose epoch is another nothing is known any more.
    pub(crate) fn upstreams_are(&self, upstreams: &[(Arc<str>, Epoch)]) {
        self.rooms().are(upstreams);
    }

    /// What a call can be found by, and how its result is kept, if it is: only when its tool says that it is read-only.
    pub(crate) fn applies(
        &self,
        member: &Member,
        route: &Route,
        incoming: &Incoming,
    ) -> Option<(Key, CacheSettings)> {
        let settings = member.settings.cache.filter(|_| route.hints.read_only)?;
        match key::of(member, route, incoming, settings) {
            Ok(key) => Some((key, settings)),
            Err(why) => {
                incoming.trail.note(format!("cache: not used, as {why}"));
                None
            }
        }
    }

    /// The answer that is known, or that another call like this one is getting, or the one that `call` gets. For another call it
    /// waits no longer than `patience`: that may be held up by what is nothing to this one.
    pub(crate) async fn through<F: Future<Output = Answer>>(
        &self,
        key: Key,
        settings: CacheSettings,
        patience: Duration,
        trail: &Trail,
        call: impl FnOnce() -> F,
    ) -> Answer {
        trail.leads_to(&key.upstream);
        loop {
            let standing = self.rooms().enter(&key);
            match standing {
                Standing::Known(result, age) => {
                    trail.note(format!("cache: answered from it, {} s old", age.as_secs()));
                    return Ok(result);
                }
                Standing::Joined(mut others) => match news(&mut others, patience).await {
                    News::Answer(answer) => {
                        trail.note("cache: got the answer to an equal call that was under way");
                        return answer;
                    }
                    // Whoever is first now makes the call.
                    News::Abandoned => {}
                    News::Nothing => {
                        trail.note(
                            "cache: an equal call was under way, but for too long: this one was made too",
                        );
                        return call().await;
                    }
                    News::Personal => {
                        trail.note(
                            "cache: an equal call was under way, but what it comes to is for its caller alone",
                        );
                        return call().await;
                    }
                },
                Standing::Leading(flight) => {
                    let leading = Leading { cache: self, key, flight };
                    let answer = call().await;
                    leading.landed(&answer, settings.time_to_live, trail);
                    return answer;
                }
                Standing::Outside => {
                    trail.note("cache: not used, as the upstream was replaced meanwhile");
                    return call().await;
                }
            }
        }
    }

    /// Forgets what this upstream answered: it may have changed.
    pub(crate) fn forget(&self, upstream: &str) {
        self.rooms().forget(upstream);
    }

    /// Forgets everything: what is the same for all upstreams has changed.
    pub(crate) fn forget_all(&self) {
        self.rooms().forget_all();
    }

    /// Somebody is asked a question of this upstream: what calls under way come to may be for their callers alone.
    pub(crate) fn asked(&self, upstream: &str) {
        let flights = self.rooms().asked(upstream);
        flights.iter().for_each(|flight| tell(flight, News::Personal));
    }

    /// A call that may change what this upstream answers is under way until this is told that it is over: nothing is kept meanwhile,
    /// and what was kept before is forgotten. One that is dropped may have left its upstream at work.
    pub(crate) fn changing(&self, upstream: &Arc<str>) -> Changing<'_> {
        let is_known = self.rooms().change_begins(upstream);
        Changing { cache: self, upstream: is_known.then(|| upstream.clone()), unsure_for: Some(UNSURE) }
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CacheSettings {
    /// How results of a tool are kept, for people.
    pub(crate) fn describe(self) -> String {
        let scope = match self.scope {
            CacheScope::Private => "for each caller",
            CacheScope::Public => "for all callers",
        };
        format!("results are kept for {:?} {scope}: the tool says that it is read-only", self.time_to_live)
    }
}

/// A call that may change what its upstream answers.
pub(crate) struct Changing<'c> {
    cache: &'c Cache,
    upstream: Option<Arc<str>>,
    unsure_for: Option<Duration>,
}

impl Changing<'_> {
    /// The call has this answer.
    pub(crate) fn answered(self, answer: &Answer) {
        if worth::is_over(answer) {
            self.over();
        }
    }

    /// The call has been answered.
    pub(crate) fn over(mut self) {
        self.unsure_for = None;
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        if let Some(upstream) = &self.upstream {
            self.cache.rooms().change_ends(upstream, self.unsure_for);
        }
    }
}

/// A call that others may wait for. One that is dropped before it has landed leaves the call to them.
struct Leading<'c> {
    cache: &'c Cache,
    key: Key,
    flight: Flight,
}

impl Leading<'_> {
    fn landed(self, answer: &Answer, life: Duration, trail: &Trail) {
        let not_kept = |why: &str| trail.note(format!("cache: not kept, as {why}"));
        match worth::of(answer) {
            Worth::Kept(result) => {
                let fate = self.cache.rooms().keep(&self.key, &self.flight, result, life);
                match fate {
                    Fate::Kept => trail.note(format!("cache: kept for {life:?}")),
                    Fate::TooLarge => not_kept("it is too large"),
                    Fate::Outdated => {
                        not_kept("what it says may have changed, or somebody was asked, meanwhile")
                    }
                }
                tell(&self.flight, News::Answer(answer.clone()));
            }
            Worth::Shared(why) => {
                self.cache.rooms().leave(&self.key, &self.flight);
                not_kept(why);
                tell(&self.flight, News::Answer(answer.clone()));
            }
            Worth::Personal(why) => {
                self.cache.rooms().leave(&self.key, &self.flight);
                not_kept(why);
                tell(&self.flight, News::Personal);
            }
        }
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.cache.rooms().leave(&self.key, &self.flight);
        tell(&self.flight, News::Abandoned);
    }
}

/// Tells those who wait; the first news count.
fn tell(flight: &Flight, news: News) {
    flight.send_if_modified(|known| {
        let is_first = matches!(known, News::Nothing);
        if is_first {
            *known = news;
        }
        is_first
    });
}

/// Waits so long until there are news.
async fn news(others: &mut watch::Receiver<News>, patience: Duration) -> News {
    match timeout(patience, others.wait_for(|news| !matches!(news, News::Nothing))).await {
        Ok(Ok(news)) => news.clone(),
        Ok(Err(_)) => News::Abandoned,
        Err(_) => News::Nothing,
    }
}
