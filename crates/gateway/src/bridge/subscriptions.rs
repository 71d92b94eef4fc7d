//! What clients are told outside of their calls: changes of lists, of resources and tasks that they follow, log messages.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures_util::future::join_all;
use json_rpc::{Error, Members, Notification, Raw};
use tokio::time::timeout;

use super::{
    audience::Audience,
    glance::at,
    level::Level,
    mailbox::News,
    methods::Incoming,
    newer_feed::{self, Listener},
    older_feed, streams,
    tasks::Tasks,
    wishes::{Hearer, Name, Topic, Wishes},
};
use crate::{
    catalogue::Kind,
    errors::{self, Answer, Refusal},
    fleet::{self, Connected, Place},
    relay::{Member, Relay, is_change},
    session::Session,
};

/// Longest wait for an upstream that is to tell of something.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest wait until upstreams know which log messages are wanted.
const LEVEL_PATIENCE: Duration = Duration::from_secs(2);

/// What belongs to a request, and means nothing without it.
const OF_A_REQUEST: [&str; 2] = ["notifications/progress", "notifications/cancelled"];

/// What clients are told outside of their calls.
#[derive(Default)]
pub(crate) struct Subscriptions(Arc<Inner>);

#[derive(Default)]
pub(super) struct Inner {
    pub(super) audience: Audience,
    wishes: Mutex<AllWishes>,
}

/// A resource whose changes can be followed.
pub(super) struct Followed {
    pub(super) upstream: Arc<str>,
    pub(super) wishes: Arc<Wishes>,
    pub(super) topic: Topic,
}

/// What is wished of each upstream.
#[derive(Default)]
struct AllWishes {
    upstreams: HashMap<Arc<str>, Arc<Wishes>>,
    /// The least log messages that any session wants, once one has said.
    level: Option<Level>,
}

impl Subscriptions {
    /// A client of the older era can be told something from now on.
    pub(crate) fn joined(&self, session: &Arc<Session>) {
        self.0.audience.joined(session);
    }

    /// A client of the older era has left for good.
    pub(crate) fn left(&self, session: u64, level: Level) {
        self.0.audience.left(Hearer::Session(session));
        let was_least = self.0.all_wishes().level.is_some_and(|least| least >= level);
        // Nobody else may want as much as it did.
        if was_least && let Some(least) = self.0.audience.least_level().filter(|least| *least > level) {
            self.0.set_level(least);
        }
    }

    /// `logging/setLevel`.
    pub(crate) async fn set_level(&self, incoming: &Incoming) -> Answer {
        let level = incoming.params.get("level").and_then(Level::read);
        let level = level.ok_or_else(|| errors::invalid_params("level is no log level"))?;
        incoming.client.session.set_level(level);
        let least = self.0.audience.least_level().map_or(level, |least| least.min(level));
        let upstreams = self.0.set_level(least);
        // One that is slow is told all the same.
        let told = join_all(upstreams.iter().map(|wishes| wishes.level_told(level)));
        let _ = timeout(LEVEL_PATIENCE, told).await;
        Ok(Raw::empty_object())
    }

    /// A request of the newer era wants log messages of this level: an upstream of the older one must be told beforehand.
    pub(crate) async fn listen_for(&self, upstream: &str, level: Level) {
        let wishes = self.0.wishes(upstream);
        if wishes.level().is_some_and(|known| known <= level) {
            return;
        }
        // What was told by default until now must not end for those who have said nothing.
        wishes.set_level(self.0.audience.least_level().map_or(level, |least| least.min(level)));
        // One that is slow is told all the same.
        let _ = timeout(LEVEL_PATIENCE, wishes.level_told(level)).await;
    }

    /// `resources/subscribe`.
    pub(crate) async fn subscribe(&self, relay: &Arc<Relay>, incoming: &Incoming) -> Answer {
        let uri = incoming.text("uri")?;
        incoming.trail.is_about(&uri);
        let Followed { upstream, wishes, topic } = self.0.resource(relay, &uri).await?;
        incoming.trail.leads_to(&upstream);
        let hearer = Hearer::Session(incoming.client.session.number);
        if !self.0.audience.follow(hearer, &wishes, &topic, &uri) {
            let message = "the session has not begun, or follows too many resources: unsubscribe from others";
            return Err(errors::invalid_params(message).into());
        }
        let answer = timeout(PATIENCE, wishes.settled(&topic)).await;
        let answer = answer.unwrap_or_else(|_| {
            let message = "the upstream of this resource does not answer: try again later";
            Err(Refusal::new(Error::INTERNAL_ERROR, "UPSTREAM_UNAVAILABLE", message).about(upstream).into())
        });
        match answer {
            Ok(()) => Ok(Raw::empty_object()),
            Err(error) => {
                self.0.audience.unfollow(hearer, &uri);
                Err(error)
            }
        }
    }

    /// `resources/unsubscribe`.
    pub(crate) fn unsubscribe(&self, relay: &Relay, incoming: &Incoming) -> Answer {
        let uri = incoming.text("uri")?;
        incoming.trail.is_about(&uri);
        if let Some(way) = relay.view().catalogue.way(Kind::Resources, &uri) {
            incoming.trail.leads_to(&way.map_or_else(|withheld| withheld.upstream, |route| route.upstream));
        }
        self.0.audience.unfollow(Hearer::Session(incoming.client.session.number), &uri);
        Ok(Raw::empty_object())
    }

    /// `subscriptions/listen`. It ends when it is dropped.
    pub(crate) async fn listen(&self, relay: &Arc<Relay>, incoming: &Incoming) -> Answer {
        streams::listen(&self.0, relay, incoming).await
    }

    /// These lists are others now.
    pub(crate) fn changed(&self, kinds: &[Kind]) {
        self.0.audience.lists_changed(kinds);
    }

    /// An upstream of the older era tells something outside of any request.
    pub(crate) fn told(
        &self,
        relay: &Relay,
        upstream: &str,
        place: Place,
        audience: fleet::Audience,
        notification: Notification,
    ) {
        let upstream = &Arc::<str>::from(upstream);
        match (notification.method.as_ref(), audience) {
            ("notifications/resources/updated" | "notifications/tasks", _) => {
                self.0.hear(relay, upstream, place, notification);
            }
            ("notifications/tasks/status", _) => self.status(relay, upstream, place, notification),
            // It comes after the call that it belongs to. Its id means nothing to any other client.
            ("notifications/elicitation/complete", fleet::Audience::Everybody | fleet::Audience::Several) => {
                self.0.audience.tell_sessions(&News::once(notification));
            }
            ("notifications/message", fleet::Audience::Everybody) => {
                self.0.audience.tell_log(None, &notification);
            }
            ("notifications/message", fleet::Audience::Session(session)) => {
                self.0.audience.tell_log(Some(session), &notification);
            }
            (_, fleet::Audience::Session(session)) => {
                let news = News::once(notification);
                self.0.audience.tell_one(Hearer::Session(session), news);
            }
            (method, fleet::Audience::Everybody) if !OF_A_REQUEST.contains(&method) => {
                self.0.audience.tell_sessions(&News::once(notification));
            }
            // It could be another's: whose cannot be told.
            _ => {
                tracing::debug!(upstream.name = &**upstream, place = place.0, "a notification is for nobody")
            }
        }
    }

    /// Follows what clients wish on a connection, for as long as it is awaited.
    pub(crate) async fn attend(&self, relay: Weak<Relay>, connected: &Connected) {
        let wishes = self.0.wishes(&connected.upstream);
        if !connected.line.is_modern() {
            older_feed::follow(&wishes, connected.place, &connected.line, connected.is_main).await;
        } else if connected.is_main {
            let ear = Ear { inner: self.0.clone(), relay };
            let from = (&connected.upstream, connected.place);
            newer_feed::follow(&wishes, from, &connected.line, Arc::new(ear)).await;
        }
    }

    /// Whether anything that this replica can tell of is followed.
    pub(crate) fn is_followed(&self, upstream: &str, place: Place) -> bool {
        let wishes = self.0.all_wishes().upstreams.get(upstream).cloned();
        wishes.is_some_and(|wishes| wishes.is_followed(place))
    }

    /// Ends all that tells clients.
    pub(crate) async fn close(&self) {
        self.0.audience.close().await;
    }

    /// A task of the older era has changed: its owner's session is told.
    fn status(&self, relay: &Relay, upstream: &Arc<str>, place: Place, notification: Notification) {
        let params = notification.params.as_ref().and_then(|params| Members::of(params).ok());
        let Some(id) = params.and_then(|mut params| params.remove("taskId")) else { return };
        let Some(whose) = relay.tasks.whose(upstream, Some(place), &id) else { return };
        let tasks = Tasks::of(relay, whose.owner, upstream, Some(place));
        let news = News::about(tasks.id(&id), tasks.notification(notification));
        self.0.audience.tell_one(Hearer::Session(whose.session), news);
    }
}

impl Inner {
    /// What is wished of this upstream.
    pub(super) fn wishes(&self, upstream: &str) -> Arc<Wishes> {
        let mut all = self.all_wishes();
        if let Some(known) = all.upstreams.get(upstream) {
            return known.clone();
        }
        let wishes = Arc::<Wishes>::default();
        if let Some(level) = all.level {
            wishes.set_level(level);
        }
        all.upstreams.insert(upstream.into(), wishes.clone());
        wishes
    }

    /// Wants log messages of this level from all upstreams, those to come too.
    fn set_level(&self, level: Level) -> Vec<Arc<Wishes>> {
        let mut all = self.all_wishes();
        all.level = Some(level);
        all.upstreams.values().inspect(|wishes| wishes.set_level(level)).cloned().collect()
    }

    fn all_wishes(&self) -> MutexGuard<'_, AllWishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The resource that clients know by this URI, where changes of it can be followed.
    pub(super) async fn resource(&self, relay: &Relay, uri: &str) -> Result<Followed, Refusal> {
        relay.known().await;
        let view = relay.view();
        let way = view.catalogue.way(Kind::Resources, uri);
        let route = way.ok_or_else(|| errors::resource_not_found(uri, false))?;
        let route =
            route.map_err(|withheld| errors::access_denied(&withheld.why).about(withheld.upstream))?;
        let member = view.members.get(&route.upstream);
        let offer = member.map(Member::offer).unwrap_or_default();
        let subscribe = offer.capabilities.as_ref().and_then(|known| at(known, &["resources", "subscribe"]));
        if subscribe != Some(true.into()) {
            let message = "the upstream of this resource does not tell of its changes";
            return Err(errors::method_not_found(message).about(route.upstream));
        }
        if let Some(member) = member {
            member.upstream.wake();
        }
        let wishes = self.wishes(&route.upstream);
        Ok(Followed { upstream: route.upstream, wishes, topic: Topic::Resource(route.name) })
    }
}

/// Hears an upstream of the newer era.
struct Ear {
    inner: Arc<Inner>,
    relay: Weak<Relay>,
}

impl Listener for Ear {
    fn hear(&self, upstream: &Arc<str>, place: Place, notification: Notification) {
        if let Some(relay) = self.relay.upgrade() {
            if is_change(&notification) {
                relay.cache.forget(upstream); // before anybody hears of it and asks again
            }
            self.inner.hear(&relay, upstream, place, notification);
        }
    }
}

impl Inner {
    /// Something that clients follow has changed. What the rules keep from clients, they do not hear of, even if they follow all that
    /// it is a part of, or followed it before the rules came.
    fn hear(&self, relay: &Relay, upstream: &Arc<str>, place: Place, notification: Notification) {
        let name = match notification.method.as_ref() {
            "notifications/resources/updated" => "uri",
            "notifications/tasks" => "taskId",
            _ => return,
        };
        let params = notification.params.as_ref().and_then(|params| Members::of(params).ok());
        let Some(mut params) = params else { return };
        let Some(there) = params.get(name).and_then(|there| there.parse::<String>().ok()) else { return };
        let there: Arc<str> = there.into();
        let view = relay.view();
        if name == "uri" && view.catalogue.refusal(upstream, &there).is_some() {
            return;
        }
        let topic = match name {
            "uri" => Topic::Resource(there.clone()),
            _ => Topic::Task(place, there.clone()),
        };
        for (hearer, as_what) in self.wishes(upstream).hearers(&topic) {
            let (here, whole) = match as_what {
                Name::Own(here) => (here, None),
                Name::PartOf(whole) => {
                    let public = view.catalogue.public_uri(upstream, &there);
                    (public.map_or_else(|| there.clone(), Arc::from), Some(whole))
                }
            };
            if here != there {
                params.set(name, Raw::text(&here));
            }
            let told = if here == there { notification.params.clone() } else { Some(params.to_raw()) };
            let notification = Notification::new(notification.method.clone(), told);
            self.audience.tell_one(hearer, News { whole, ..News::about(here, notification) });
        }
    }
}
