//! Following what clients wish on a connection of the newer era: one stream that tells of everything, replaced when the wishes
//! change.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::future::{BoxFuture, pending};
use json_rpc::{Error, Members, Notification, Outcome, Raw};
use mcp_transport::{Line, Outgoing, Party, RequestError};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::wishes::{Source, Topic, Wishes};
use crate::{
    errors::{Fault, Refusal},
    fleet::Place,
};

/// The pauses before a stream that broke is opened again.
const PAUSES_MS: [u64; 5] = [100, 500, 2_000, 10_000, 30_000];

/// Hears what the upstream tells of what is followed.
pub(crate) trait Listener: Send + Sync + 'static {
    /// Hears a notification of a replica; must not block.
    fn hear(&self, upstream: &Arc<str>, place: Place, notification: Notification);
}

/// Follows the wishes for as long as it is awaited.
pub(crate) async fn follow(
    wishes: &Arc<Wishes>,
    (upstream, place): (&Arc<str>, Place),
    line: &Line,
    listener: Arc<dyn Listener>,
) {
    let mut changes = wishes.changes();
    let source = wishes.source(place);
    let ear = Ear {
        wishes: wishes.clone(),
        source: source.number(),
        place,
        upstream: upstream.clone(),
        listener,
        topics: BTreeSet::new(),
        agreed: watch::Sender::new(false),
    };
    let mut feed =
        Feed { source, line, ear, open: None, next: None, failures: 0, well_since: None, pause: None };
    loop {
        changes.borrow_and_update();
        feed.renew();
        feed.wait(&mut changes).await;
    }
}

struct Feed<'a> {
    source: Source<'a>,
    line: &'a Line,
    /// What hears on each stream, but for what it is to hear.
    ear: Ear,
    /// The stream that tells.
    open: Option<Stream<'a>>,
    /// The one that follows it once the server has agreed: so nothing is missed between the two.
    next: Option<Stream<'a>>,
    failures: usize,
    /// When the server first agreed to a stream after the last failure.
    well_since: Option<Instant>,
    /// No stream is opened before this.
    pause: Option<Instant>,
}

struct Stream<'a> {
    topics: BTreeSet<Topic>,
    running: BoxFuture<'a, Result<Outcome, RequestError>>,
    agreed: watch::Receiver<bool>,
}

impl Feed<'_> {
    /// Opens a stream for what is wished now, if that has changed.
    fn renew(&mut self) {
        let wanted = self.source.wanted();
        if wanted.is_empty() {
            (self.open, self.next) = (None, None);
            return;
        }
        let newest = self.next.as_ref().or(self.open.as_ref());
        if newest.is_some_and(|newest| newest.topics == wanted) || self.pause.is_some() {
            return;
        }
        let (agreed, has_agreed) = watch::channel(false);
        let ear = Ear { topics: wanted.clone(), agreed, ..self.ear.clone() };
        let params = self.line.stamp(Some(filter(&wanted)));
        let request = Outgoing { method: "subscriptions/listen".into(), params, mirrored: Vec::new() };
        let running = Box::pin(self.line.request(request, Some(Arc::new(ear))));
        self.next = Some(Stream { topics: wanted, running, agreed: has_agreed });
    }

    /// Waits until something happens.
    async fn wait(&mut self, changes: &mut watch::Receiver<u64>) {
        let pause = self.pause;
        let next_agreed = self.next.as_ref().map(|next| next.agreed.clone());
        tokio::select! {
            // The sender of changes lives as long as the wishes.
            _ = changes.changed() => {}
            () = agreed(next_agreed) => {
                self.open = self.next.take();
                self.well_since.get_or_insert_with(Instant::now);
            }
            outcome = ended(&mut self.next) => {
                let stream = self.next.take();
                self.failed(stream, outcome);
            }
            outcome = ended(&mut self.open) => {
                let stream = self.open.take();
                self.failed(stream, outcome);
            }
            () = over(pause) => self.pause = None,
        }
    }

    /// A stream has ended. What the server has not agreed to before is refused if it said so; all else is asked for again after a while.
    fn failed(&mut self, stream: Option<Stream<'_>>, outcome: Result<Outcome, RequestError>) {
        if let (Some(stream), Ok(Err(error))) = (stream, outcome) {
            let error = Fault::Theirs(error);
            let refused = stream.topics.iter().filter(|topic| self.source.refuse(topic, &error));
            if refused.count() > 0 {
                return; // nobody asks for these again, and what is left may be no trouble
            }
        }
        // A server that agrees and then fails at once, again and again, is not well.
        if self.well_since.take().is_some_and(|since| since.elapsed() >= pause_after(self.failures)) {
            self.failures = 0;
        }
        self.pause = Some(Instant::now() + pause_after(self.failures));
        self.failures += 1;
    }
}

/// The pause after so many failures and one more.
fn pause_after(failures: usize) -> Duration {
    Duration::from_millis(PAUSES_MS[failures.min(PAUSES_MS.len() - 1)])
}

async fn agreed(stream: Option<watch::Receiver<bool>>) {
    let Some(mut stream) = stream else { return pending().await };
    if stream.wait_for(|agreed| *agreed).await.is_err() {
        // The request is over, and its outcome says more.
        pending().await
    }
}

async fn ended(stream: &mut Option<Stream<'_>>) -> Result<Outcome, RequestError> {
    match stream {
        Some(stream) => (&mut stream.running).await,
        None => pending().await,
    }
}

async fn over(pause: Option<Instant>) {
    match pause {
        Some(pause) => sleep_until(pause).await,
        None => pending().await,
    }
}

/// The parameters that ask for these.
fn filter(topics: &BTreeSet<Topic>) -> Raw {
    let (mut uris, mut tasks) = (Vec::new(), Vec::new());
    for topic in topics {
        match topic {
            Topic::Resource(uri) => uris.push(&**uri),
            Topic::Task(_, id) => tasks.push(&**id),
        }
    }
    let mut notifications = Members::default();
    for (name, names) in [("resourceSubscriptions", uris), ("taskIds", tasks)] {
        if !names.is_empty() {
            notifications.set(name, Raw::of(&names).expect("texts are always JSON"));
        }
    }
    Members::from_iter([("notifications", notifications.to_raw())]).to_raw()
}

/// Hears what comes on a stream.
#[derive(Clone)]
struct Ear {
    wishes: Arc<Wishes>,
    source: u64,
    place: Place,
    upstream: Arc<str>,
    listener: Arc<dyn Listener>,
    topics: BTreeSet<Topic>,
    agreed: watch::Sender<bool>,
}

impl Ear {
    /// What the server has agreed to tell of is held, the rest refused.
    fn settle(&self, params: Option<&Raw>) {
        let accepted = params.and_then(|params| Members::of(params).ok()?.remove("notifications"));
        let accepted = accepted.and_then(|accepted| Members::of(&accepted).ok()).unwrap_or_default();
        let list =
            |name| accepted.get(name).and_then(|list| list.parse::<Vec<String>>().ok()).unwrap_or_default();
        let (uris, tasks) = (list("resourceSubscriptions"), list("taskIds"));
        for topic in &self.topics {
            let is_accepted = match topic {
                Topic::Resource(uri) => uris.iter().any(|accepted| **accepted == **uri),
                Topic::Task(_, id) => tasks.iter().any(|accepted| **accepted == **id),
            };
            self.wishes.settle(
                self.source,
                topic,
                if is_accepted { Ok(()) } else { Err(self.refusal().into()) },
            );
        }
        self.agreed.send_replace(true);
    }

    fn refusal(&self) -> Refusal {
        let message = format!("upstream \"{}\" does not tell of changes to this", self.upstream);
        Refusal::new(Error::INVALID_PARAMS, "NOT_SUBSCRIBABLE", message).about(self.upstream.clone())
    }
}

#[async_trait]
impl Party for Ear {
    async fn told(&self, notification: Notification) {
        if notification.method == "notifications/subscriptions/acknowledged" {
            self.settle(notification.params.as_ref());
        } else {
            self.listener.hear(&self.upstream, self.place, notification);
        }
    }

    async fn asked(&self, _method: &str, _params: Option<Raw>) -> Outcome {
        Err(Error::new(Error::METHOD_NOT_FOUND, "servers do not ask in this era").to_raw())
    }
}
