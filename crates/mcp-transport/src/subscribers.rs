//! Who wants to hear of changes, in both eras: sessions that subscribed, and streams that listen.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rmcp::{
    ErrorData, RoleServer,
    model::{ResourceUpdatedNotificationParam, SubscriptionFilter},
    service::{Peer, SubscriptionContext},
};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// Resources that one session may subscribe to.
const MAX_URIS: usize = 256;

/// Streams of one session that were accepted and do not listen yet.
const MAX_ACCEPTED: usize = 16;

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The list of resources.
    Resources,
    /// The resource with this URI.
    Resource(String),
}

/// Everybody who wants to hear of changes. Clones are the same.
///
/// A change costs the caller no wait: it is noted for each subscriber, once, however often it happens before a slow one takes
/// it.
#[derive(Debug, Clone, Default)]
pub struct Subscribers(Arc<Mutex<Register>>);

#[derive(Debug, Default)]
struct Register {
    next: u64,
    mailboxes: HashMap<u64, Arc<Mailbox>>,
}

/// The changes that one subscriber has not been told of.
#[derive(Debug)]
struct Mailbox {
    state: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug)]
struct Waiting {
    wanted: SubscriptionFilter,
    changes: BTreeSet<Change>,
}

/// The part of one session; dropping it ends its subscriptions.
#[derive(Debug)]
pub struct Subscriber {
    entry: Arc<Entry>,
    /// What was accepted is noted from then on: a client may rely on it before its stream listens.
    accepted: Mutex<VecDeque<(SubscriptionFilter, Arc<Entry>)>>,
    telling: Mutex<Option<AbortOnDropHandle<()>>>,
}

/// A mailbox that is in the register for as long as this lives.
#[derive(Debug)]
struct Entry {
    subscribers: Subscribers,
    key: u64,
    mailbox: Arc<Mailbox>,
}

impl Subscribers {
    /// Tells everybody who wants to know.
    pub fn changed(&self, change: &Change) {
        let mailboxes: Vec<_> = lock(&self.0).mailboxes.values().cloned().collect();
        for mailbox in mailboxes {
            mailbox.put(change);
        }
    }

    /// The part of a new session. It hears nothing until it has [joined](Subscriber::join).
    #[must_use]
    pub fn session(&self) -> Subscriber {
        let entry = self.enter(SubscriptionFilter::default());
        Subscriber { entry, accepted: Mutex::default(), telling: Mutex::default() }
    }

    fn enter(&self, wanted: SubscriptionFilter) -> Arc<Entry> {
        let state = Mutex::new(Waiting { wanted, changes: BTreeSet::new() });
        let mailbox = Arc::new(Mailbox { state, arrived: Notify::new() });
        let mut register = lock(&self.0);
        let key = register.next;
        register.next += 1;
        register.mailboxes.insert(key, mailbox.clone());
        Arc::new(Entry { subscribers: self.clone(), key, mailbox })
    }
}

impl Subscriber {
    /// A client of the older era has finished its handshake: it hears of changed lists from now on (`on_initialized`).
    pub fn join(&self, peer: Peer<RoleServer>) {
        {
            let wanted = &mut lock(&self.entry.mailbox.state).wanted;
            wanted.tools_list_changed = Some(true);
            wanted.prompts_list_changed = Some(true);
            wanted.resources_list_changed = Some(true);
        }
        let mailbox = self.entry.mailbox.clone();
        let telling = tokio::spawn(async move {
            loop {
                let change = mailbox.take().await;
                let told = match change {
                    Change::Tools => peer.notify_tool_list_changed().await,
                    Change::Prompts => peer.notify_prompt_list_changed().await,
                    Change::Resources => peer.notify_resource_list_changed().await,
                    Change::Resource(uri) => {
                        peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await
                    }
                };
                if told.is_err() {
                    return; // the session has ended
                }
            }
        });
        *lock(&self.telling) = Some(AbortOnDropHandle::new(telling));
    }

    /// Adds a resource (`resources/subscribe`).
    ///
    /// # Errors
    /// When the session has subscribed to too many already.
    pub fn subscribe(&self, uri: String) -> Result<(), ErrorData> {
        let mut state = lock(&self.entry.mailbox.state);
        let uris = state.wanted.resource_subscriptions.get_or_insert_default();
        if uris.contains(&uri) {
            return Ok(());
        }
        if uris.len() >= MAX_URIS {
            return Err(too_many());
        }
        uris.push(uri);
        Ok(())
    }

    /// Takes a resource away (`resources/unsubscribe`).
    pub fn unsubscribe(&self, uri: &str) {
        let mut state = lock(&self.entry.mailbox.state);
        state.wanted.resource_subscriptions.get_or_insert_default().retain(|known| known != uri);
        state.changes.remove(&Change::Resource(uri.to_owned()));
    }

    /// Begins to note the changes that a stream will be told of (`accepted_subscription_filter`): it is acknowledged before
    /// it listens.
    pub fn accept(&self, wanted: SubscriptionFilter) -> SubscriptionFilter {
        let entry = self.entry.subscribers.enter(wanted.clone());
        let mut accepted = lock(&self.accepted);
        if accepted.len() >= MAX_ACCEPTED {
            accepted.pop_front();
        }
        accepted.push_back((wanted.clone(), entry));
        wanted
    }

    /// Tells a listening stream of the changes it accepted, until it ends (`subscriptions/listen`).
    ///
    /// # Errors
    /// When it asks for too many resources.
    pub async fn listen(&self, stream: SubscriptionContext) -> Result<(), ErrorData> {
        let wanted = stream.accepted().clone();
        if wanted.resource_subscriptions.as_ref().is_some_and(|uris| uris.len() > MAX_URIS) {
            return Err(too_many());
        }
        let entry = self.noted(&wanted).unwrap_or_else(|| self.entry.subscribers.enter(wanted));
        let sink = stream.sink();
        let tell = async {
            loop {
                let told = match entry.mailbox.take().await {
                    Change::Tools => sink.notify_tool_list_changed().await,
                    Change::Prompts => sink.notify_prompt_list_changed().await,
                    Change::Resources => sink.notify_resource_list_changed().await,
                    Change::Resource(uri) => sink.notify_resource_updated(uri).await,
                };
                if told.is_err() {
                    return; // the stream has ended
                }
            }
        };
        tokio::select! {
            () = tell => {}
            () = stream.cancelled() => {}
        }
        Ok(())
    }

    /// What was noted for such a stream since it was accepted.
    fn noted(&self, wanted: &SubscriptionFilter) -> Option<Arc<Entry>> {
        let mut accepted = lock(&self.accepted);
        // What the server does not offer was taken out of some.
        let index = accepted.iter().position(|(filter, _)| filter == wanted).unwrap_or_default();
        let (_, entry) = accepted.remove(index)?;
        let mut state = lock(&entry.mailbox.state);
        state.wanted = wanted.clone();
        state.changes.retain(|change| wants(wanted, change));
        drop(state);
        Some(entry)
    }
}

impl Mailbox {
    fn put(&self, change: &Change) {
        let mut state = lock(&self.state);
        if wants(&state.wanted, change) && state.changes.insert(change.clone()) {
            self.arrived.notify_one();
        }
    }

    async fn take(&self) -> Change {
        loop {
            if let Some(change) = lock(&self.state).changes.pop_first() {
                return change;
            }
            self.arrived.notified().await;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.subscribers.0).mailboxes.remove(&self.key);
    }
}

fn wants(wanted: &SubscriptionFilter, change: &Change) -> bool {
    match change {
        Change::Tools => wanted.tools_list_changed == Some(true),
        Change::Prompts => wanted.prompts_list_changed == Some(true),
        Change::Resources => wanted.resources_list_changed == Some(true),
        Change::Resource(uri) => {
            wanted.resource_subscriptions.as_ref().is_some_and(|uris| uris.contains(uri))
        }
    }
}

fn too_many() -> ErrorData {
    ErrorData::invalid_params(format!("too many resources: at most {MAX_URIS} can be subscribed to"), None)
}

/// Nothing panics while these locks are held, so what they guard is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(subscriber: &Subscriber) -> Vec<Change> {
        lock(&subscriber.entry.mailbox.state).changes.iter().cloned().collect()
    }

    #[test]
    fn a_session_hears_only_of_what_it_subscribed_to_and_once() {
        let subscribers = Subscribers::default();
        let session = subscribers.session();
        session.subscribe("a://1".to_owned()).unwrap();

        for uri in ["a://1", "a://2", "a://1"] {
            subscribers.changed(&Change::Resource(uri.to_owned()));
        }
        subscribers.changed(&Change::Tools);

        assert_eq!(waiting(&session), [Change::Resource("a://1".to_owned())]);
    }

    #[test]
    fn what_a_session_unsubscribed_from_is_forgotten() {
        let subscribers = Subscribers::default();
        let session = subscribers.session();
        session.subscribe("a://1".to_owned()).unwrap();
        subscribers.changed(&Change::Resource("a://1".to_owned()));

        session.unsubscribe("a://1");
        subscribers.changed(&Change::Resource("a://1".to_owned()));

        assert_eq!(waiting(&session), []);
    }

    #[test]
    fn subscriptions_have_a_bound_and_end_with_their_session() {
        let subscribers = Subscribers::default();
        let session = subscribers.session();
        for number in 0..MAX_URIS {
            session.subscribe(format!("a://{number}")).unwrap();
        }
        assert!(session.subscribe("a://more".to_owned()).is_err());
        assert!(session.subscribe("a://0".to_owned()).is_ok(), "it is subscribed already");

        drop(session);
        assert!(lock(&subscribers.0).mailboxes.is_empty());
    }

    #[test]
    fn what_changes_between_a_streams_acceptance_and_its_listening_is_noted() {
        let subscribers = Subscribers::default();
        let subscriber = subscribers.session();
        let mut both = SubscriptionFilter::default();
        (both.tools_list_changed, both.prompts_list_changed) = (Some(true), Some(true));
        subscriber.accept(both);
        subscribers.changed(&Change::Tools);
        subscribers.changed(&Change::Prompts);
        let mut prompts = SubscriptionFilter::default();
        prompts.prompts_list_changed = Some(true);
        let noted = subscriber.noted(&prompts).unwrap();
        assert_eq!(lock(&noted.mailbox.state).changes, BTreeSet::from([Change::Prompts]));
        assert!(subscriber.noted(&prompts).is_none());
    }
}
