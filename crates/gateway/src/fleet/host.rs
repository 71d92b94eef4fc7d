//! What a server says and asks outside of requests, and whom it can mean.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use async_trait::async_trait;
use json_rpc::{Notification, Outcome, Raw};
use mcp_transport::{LineHost, Party as _};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{
    Audience, Origin,
    changes::Changes,
    desk::lock,
    party::{Heard, LONGEST_QUESTION},
    site::Site,
};
use crate::errors;

/// How long a server may take to notice that a call was cancelled: what it says and asks meanwhile may be about that call. As long, what
/// it says may be about a call that it has answered: over Streamable HTTP the two come on streams of their own, in whichever order.
const LINGERS: Duration = Duration::from_secs(3);

/// The gateway's end of one connection: hears what comes outside of requests, and knows who uses the connection.
pub(super) struct Host {
    pub(super) site: Arc<Site>,
    /// Whose connection it is, if it is one client's alone.
    pub(super) session: Option<u64>,
    traffic: Mutex<Traffic>,
}

/// Who uses a connection, and has used it.
struct Traffic {
    /// Whose calls are under way, and how many; requests without a session are all alike.
    callers: Vec<(Origin, usize)>,
    /// The last two whose calls were given up, and when: while there are two it does not matter whether there were more.
    left: Vec<(Origin, Instant)>,
    /// Whose call was answered last, and when.
    served: Option<(Option<u64>, Instant)>,
    /// Those who wait for calls that are parts of a request.
    parts: Vec<(Uuid, Weak<Heard>)>,
    begun: u64,
    answered: u64,
    last_used: Instant,
}

/// How far a call came on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was not delivered.
    Undelivered,
    /// Nobody waits for its answer any more, and the server may be at work on it.
    GivenUp,
    Answered,
}

/// How a connection is and was used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub(super) is_used: bool,
    pub(super) begun: u64,
    pub(super) answered: u64,
    pub(super) last_used: Instant,
}

impl Host {
    pub(super) fn new(site: Arc<Site>, session: Option<u64>) -> Self {
        let traffic = Traffic {
            callers: Vec::new(),
            left: Vec::new(),
            served: None,
            parts: Vec::new(),
            begun: 0,
            answered: 0,
            last_used: Instant::now(),
        };
        Self { site, session, traffic: Mutex::new(traffic) }
    }

    /// A call begins.
    pub(super) fn begin(&self, origin: Origin) {
        let mut traffic = lock(&self.traffic);
        traffic.begun += 1;
        match traffic.callers.iter_mut().find(|(caller, _)| *caller == origin) {
            Some((_, calls)) => *calls += 1,
            None => traffic.callers.push((origin, 1)),
        }
    }

    /// This party waits for a call that has begun and is a part of that request.
    pub(super) fn joins(&self, whole: Uuid, part: &Arc<Heard>) {
        let parts = &mut lock(&self.traffic).parts;
        parts.retain(|(_, part)| part.strong_count() > 0);
        parts.push((whole, Arc::downgrade(part)));
    }

    /// A call is over.
    pub(super) fn end(&self, origin: Origin, fate: Fate) {
        let mut traffic = lock(&self.traffic);
        let now = Instant::now();
        traffic.answered += u64::from(fate == Fate::Answered);
        traffic.last_used = now;
        match fate {
            Fate::Undelivered => {}
            Fate::GivenUp => {
                traffic.left.retain(|(left, _)| *left != origin);
                traffic.left.push((origin, now));
                if traffic.left.len() > 2 {
                    traffic.left.remove(0);
                }
            }
            Fate::Answered => traffic.served = Some((origin.session, now)),
        }
        if let Some(place) = traffic.callers.iter().position(|(caller, _)| *caller == origin) {
            traffic.callers[place].1 -= 1;
            if traffic.callers[place].1 == 0 {
                traffic.callers.swap_remove(place);
            }
        }
    }

    /// The connection has been made anew: what was given up or answered before is no business of this one.
    pub(super) fn begin_anew(&self) {
        let mut traffic = lock(&self.traffic);
        traffic.left.clear();
        traffic.served = None;
    }

    pub(super) fn usage(&self) -> Use {
        let traffic = lock(&self.traffic);
        let Traffic { begun, answered, last_used, .. } = *traffic;
        Use { is_used: !traffic.callers.is_empty(), begun, answered, last_used }
    }

    /// Whom a question can be for. A call that was answered asks no more.
    fn questioned(&self) -> Audience {
        match self.session {
            Some(session) => Audience::Session(session),
            None => those(lock(&self.traffic).concerned().map(|origin| origin.session)),
        }
    }

    /// Whom something can be for that is told.
    fn audience(&self, method: &str) -> Audience {
        match self.session {
            Some(session) => Audience::Session(session),
            // It comes after its call, however long: who calls meanwhile says nothing about whose it is.
            None if method == "notifications/elicitation/complete" => Audience::Everybody,
            None => lock(&self.traffic).talked_of(),
        }
    }

    /// Those who wait for the parts of a request, if nobody else can be meant.
    fn parts(&self) -> Vec<Arc<Heard>> {
        let mut traffic = lock(&self.traffic);
        let mut concerned = traffic.concerned().map(|origin| origin.whole);
        match concerned.next().flatten() {
            Some(whole) if concerned.all(|other| other == Some(whole)) => {
                drop(concerned);
                let parts = traffic.parts.iter().filter(|(part_of, _)| *part_of == whole);
                parts.filter_map(|(_, part)| part.upgrade()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Takes what is no request's business, although it may have come with one; gives back what is.
    pub(super) fn keep(&self, notification: Notification) -> Option<Notification> {
        if let Some(kinds) = Changes::named_by(&notification.method) {
            self.site.may_have_changed(kinds);
            return None;
        }
        if notification.method != "notifications/resources/updated" {
            return Some(notification);
        }
        self.pass_on(notification);
        None
    }

    fn pass_on(&self, notification: Notification) {
        if let Some(observer) = self.site.desk.observer.upgrade() {
            let audience = self.audience(&notification.method);
            observer.told(&self.site.desk.name, self.site.place, audience, notification);
        }
    }
}

impl Traffic {
    /// Whose calls are under way, or were a moment ago.
    fn concerned(&mut self) -> impl Iterator<Item = Origin> {
        self.left.retain(|(_, when)| when.elapsed() < LINGERS);
        let left = self.left.iter().map(|(origin, _)| *origin);
        self.callers.iter().map(|(origin, _)| *origin).chain(left)
    }

    /// Whom something that is told is about: who has calls under way or has given them up, and if nobody has, whose
    /// was answered last: most likely it is late by a little.
    fn talked_of(&mut self) -> Audience {
        match those(self.concerned().map(|origin| origin.session)) {
            Audience::Everybody => {}
            concerned => return concerned,
        }
        let served = self.served.filter(|(_, when)| when.elapsed() < LINGERS);
        those(served.map(|(session, _)| session).into_iter())
    }
}

/// Whom something can be for that may be about calls of these.
fn those(mut sessions: impl Iterator<Item = Option<u64>>) -> Audience {
    match sessions.next() {
        None => Audience::Everybody,
        Some(Some(session)) if sessions.all(|other| other == Some(session)) => Audience::Session(session),
        Some(_) => Audience::Several,
    }
}

#[async_trait]
impl LineHost for Host {
    fn told(&self, notification: Notification) {
        if let Some(notification) = self.keep(notification) {
            self.pass_on(notification);
        }
    }

    async fn asked(&self, method: &str, params: Option<Raw>) -> Outcome {
        // A server keeps roots for as long as the connection lives: one client's must not become another's.
        if method == "roots/list" && self.session.is_none() {
            return Err(errors::not_answered(
                "several clients share this connection, each with roots of its own: ask during a request, or set sessions = \"per_client\" for this upstream",
            ));
        }
        let parts = self.parts();
        if let Some(part) = parts.first() {
            // Whichever of them it is that asks, all wait for the same client.
            let _pauses: Vec<_> = parts.iter().map(|part| part.pause()).collect();
            return part.asked(method, params).await;
        }
        match (self.questioned(), self.site.desk.observer.upgrade()) {
            (_, None) => Err(errors::not_answered("the gateway is being shut down")),
            (Audience::Session(session), Some(observer)) => {
                let answer = observer.asked(&self.site.desk.name, session, method, params);
                let answer = timeout(LONGEST_QUESTION, answer).await;
                answer.unwrap_or_else(|_late| Err(errors::not_answered("the client did not answer in time")))
            }
            (Audience::Everybody, _) => {
                Err(errors::not_answered("no client is calling, so that nobody can be asked"))
            }
            (Audience::Several, _) => Err(errors::not_answered(
                "several clients are calling, and it cannot be told which of them is asked: set sessions = \"per_client\" for this upstream",
            )),
        }
    }
}
