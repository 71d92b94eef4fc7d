//! One client's conversation with an endpoint, from its first message to an orderly end.
//!
//! All of it runs in one task: requests side by side, without a task or a queue for each.

use std::{
    collections::HashMap,
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use auth::Caller;
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{AbortHandle, Abortable, BoxFuture},
    stream::FuturesUnordered,
};
use json_rpc::{Error, Id, Members, Message, Notification, Raw, ReadError, Request, Response};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::voice::Voice;
use crate::{
    Arrival, Endpoint, Link, TransportKind,
    serve::{
        farewell::{LISTEN, farewell},
        outgoing::Outgoing,
        session::{InputEnd, MAX_REQUESTS},
    },
};

/// Where a client's messages come from.
pub(super) trait Source {
    /// The next message, or what to answer to something else. Cancel-safe.
    fn receive(&mut self) -> impl Future<Output = Option<Result<Message, ReadError>>> + Send;
}

/// How a conversation ends.
pub(super) struct Bounds {
    pub(super) end: InputEnd,
    /// Time for requests in flight to finish.
    pub(super) grace: Duration,
    /// Whether the server accepts no more requests.
    pub(super) stopping: CancellationToken,
}

/// A conversation. Dropping it drops the requests in flight.
pub(super) struct Conversation<E: Endpoint> {
    endpoint: Arc<E>,
    session: Arc<E::Session>,
    voice: Arc<Voice>,
    bounds: Bounds,
    /// Resolves when no more requests are wanted.
    ending: CancellationToken,
    /// Requests in flight, by their ids.
    requests: HashMap<Id, InFlight>,
    last: u64,
    /// They, and refusals that wait for room: futures with the number of what they answer.
    running: FuturesUnordered<Running>,
}

type Running = Abortable<BoxFuture<'static, Option<(Id, u64)>>>;

struct InFlight {
    /// Tells it from another of the same id.
    number: u64,
    cancel: AbortHandle,
}

impl<E: Endpoint> Conversation<E> {
    pub(super) fn open(
        endpoint: &Arc<E>,
        outgoing: Arc<Outgoing>,
        caller: Caller,
        transport: TransportKind,
        bounds: Bounds,
    ) -> Self {
        let voice = Arc::new(Voice::new(outgoing));
        let link = Link::new(voice.clone(), None);
        let session = Arc::new(endpoint.open(Arrival { caller, transport, is_brief: false, link }));
        Self {
            endpoint: endpoint.clone(),
            session,
            voice,
            ending: bounds.stopping.child_token(),
            bounds,
            requests: HashMap::new(),
            last: 0,
            running: FuturesUnordered::new(),
        }
    }

    /// Converses until the client has gone, or until the input has ended or the server stops and what is in flight is answered.
    /// Returns when all of it must be written.
    pub(super) async fn run(mut self, mut source: impl Source) -> Instant {
        let ending = self.ending.clone();
        let mut ended = pin!(ending.cancelled());
        let mut deadline = None;
        let mut is_listening = true;
        while deadline.is_none() || !self.running.is_empty() {
            tokio::select! {
                // Each request has begun before the next message is heard.
                biased;
                Some(answered) = self.running.next() => {
                    if let Ok(Some((id, number))) = answered {
                        self.settle(&id, number);
                    }
                }
                () = &mut ended, if deadline.is_none() => deadline = Some(Instant::now() + self.bounds.grace),
                message = source.receive(), if is_listening && self.running.len() < 2 * MAX_REQUESTS => match message {
                    Some(Ok(message)) => self.hear(message),
                    Some(Err(refused)) => self.say(refused),
                    None if self.bounds.end == InputEnd::Gone => return Instant::now(),
                    None => {
                        is_listening = false;
                        self.voice.expect_no_answers();
                        self.ending.cancel();
                    }
                },
                () = passed(deadline), if deadline.is_some() => {
                    tracing::warn!("calls in flight are cancelled: the grace period is over");
                    break;
                }
            }
        }
        deadline.unwrap_or_else(Instant::now)
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Request(_) if self.ending.is_cancelled() => {} // the end of the connection is its answer
            Message::Request(request) => self.begin(request),
            Message::Response(response) => self.voice.answered(response),
            Message::Notification(notification) => {
                let cancelled = cancelled(&notification).and_then(|id| self.requests.remove(&id));
                if let Some(request) = cancelled {
                    request.cancel.abort(); // it gets no answer
                    return;
                }
                let hear = AssertUnwindSafe(|| self.endpoint.hear(&self.session, notification));
                let _ = catch_unwind(hear); // a panic is in the log already
            }
        }
    }

    fn begin(&mut self, request: Request) {
        let id = &request.id;
        if self.requests.contains_key(id) {
            let why = Error::new(Error::INVALID_REQUEST, "a request with this id is in flight already");
            return self.say(Response::new(id.clone(), Err(why.into())));
        }
        if self.requests.len() >= MAX_REQUESTS {
            return self.say(Response::new(id.clone(), Err(overloaded().into())));
        }
        self.last += 1;
        let (cancel, registration) = AbortHandle::new_pair();
        self.requests.insert(id.clone(), InFlight { number: self.last, cancel });
        let answering = self.answer(request, self.last);
        self.running.push(Abortable::new(answering, registration));
    }

    fn answer(&self, request: Request, number: u64) -> BoxFuture<'static, Option<(Id, u64)>> {
        let (endpoint, session, voice) = (self.endpoint.clone(), self.session.clone(), self.voice.clone());
        let ending = (request.method == LISTEN).then(|| self.ending.clone());
        Box::pin(async move {
            let id = request.id.clone();
            let link = Link::new(voice.clone(), Some(id.clone()));
            let answer =
                AssertUnwindSafe(async { endpoint.answer(session, request, link).await }).catch_unwind();
            let answered = match ending {
                Some(ending) => ending.run_until_cancelled(answer).await.unwrap_or_else(|| Ok(farewell(&id))),
                None => answer.await,
            };
            // The panic is in the log already, with its message and place, and the client is not told them.
            let outcome = answered.unwrap_or_else(|_| Err(broken().into()));
            let _ = voice.say(Response::new(id.clone(), outcome)).await; // the client may have gone
            Some((id, number))
        })
    }

    /// Says something by ourselves; when there is no room for it, reading stops sooner or later.
    fn say(&self, message: impl Into<Message>) {
        let (voice, message) = (self.voice.clone(), message.into());
        let saying = async move {
            let _ = voice.say(message).await; // the client may have gone
            None
        };
        let (_, registration) = AbortHandle::new_pair();
        self.running.push(Abortable::new(Box::pin(saying), registration));
    }

    fn settle(&mut self, id: &Id, number: u64) {
        if self.requests.get(id).is_some_and(|request| request.number == number) {
            self.requests.remove(id);
        }
    }
}

impl<E: Endpoint> Drop for Conversation<E> {
    fn drop(&mut self) {
        self.voice.end();
    }
}

/// Waits until then.
async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// The request that is not wanted any more.
fn cancelled(notification: &Notification) -> Option<Id> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Cancelled {
        request_id: Id,
    }

    if notification.method != "notifications/cancelled" {
        return None;
    }
    notification.params.as_ref()?.parse::<Cancelled>().ok().map(|cancelled| cancelled.request_id)
}

fn broken() -> Error {
    Error::new(Error::INTERNAL_ERROR, "the server failed on this request; its log says why")
}

fn overloaded() -> Error {
    let message =
        format!("too many requests are in flight: at most {MAX_REQUESTS}, try again after an answer");
    let data = Members::from_iter([("code", Raw::text("SERVER_OVERLOADED"))]);
    Error::new(-32_006, message).with_data(data.into())
}
