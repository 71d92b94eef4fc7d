//! One stream for everything: requests, what the server says and asks meanwhile, and the answers, told apart by their ids.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use json_rpc::{Error, Id, Members, Message, Notification, Outcome, Raw, Request, Response};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    LineHost, Outgoing, Party,
    errand::{Errand, Hearing, Letter},
    pump,
    questions::Questions,
    token::Token,
};
use crate::connect::{
    carrier::Carrier,
    link::{Frame, Kind, LinkError, Outbox},
    watched::End,
};

/// Requests that may be under way. Whoever makes more of them has bounds of his own, or will need some.
const MAX_REQUESTS: usize = 4096;
/// How long a server may take to notice that a request was cancelled. What it asks meanwhile may be for that.
const LINGERS: Duration = Duration::from_secs(3);

/// A connection that carries everything in one stream each way. Dropping it ends it in the background.
pub(super) struct Mux {
    shared: Arc<Shared>,
    end: End,
    /// Tells to close the connection in good order.
    stop: CancellationToken,
    /// Tells to drop it.
    cut: CancellationToken,
}

/// What requests share with the task that reads.
pub(super) struct Shared {
    pub(super) outbox: Outbox,
    pub(super) host: Arc<dyn LineHost>,
    pub(super) is_modern: AtomicBool,
    is_agreed: AtomicBool,
    numbers: AtomicU64,
    desk: Mutex<Desk>,
}

#[derive(Default)]
struct Desk {
    running: HashMap<u64, Arc<Errand>>,
    /// Cancelled lately, and not answered: the server may still be working on them.
    left: VecDeque<(u64, Instant)>,
    is_ended: bool,
}

impl Mux {
    /// Starts to read.
    pub(super) fn start(carrier: impl Carrier, host: Arc<dyn LineHost>) -> Self {
        let shared = Arc::new(Shared {
            outbox: carrier.outbox().clone(),
            host,
            is_modern: AtomicBool::new(false),
            is_agreed: AtomicBool::new(false),
            numbers: AtomicU64::new(1),
            desk: Mutex::default(),
        });
        let (end, stop, cut) = (End::default(), CancellationToken::new(), CancellationToken::new());
        // Ends with the connection, and with this; it is waited for by its `end`.
        tokio::spawn(pump::run(carrier, shared.clone(), stop.clone(), cut.clone(), end.clone()));
        Self { shared, end, stop, cut }
    }

    /// The handshake is over.
    pub(super) fn agree(&self, is_modern: bool) {
        self.shared.is_modern.store(is_modern, Ordering::Relaxed);
        self.shared.is_agreed.store(true, Ordering::Relaxed);
    }

    /// Sends a message of the handshake, which is never cancelled at the server.
    pub(super) async fn introduce(&self, request: Outgoing) -> Result<Outcome, LinkError> {
        self.send(request, None, false).await
    }

    /// Sends a request and waits for its outcome. Dropping the future cancels it.
    pub(super) async fn request(
        &self,
        request: Outgoing,
        party: Option<Arc<dyn Party>>,
    ) -> Result<Outcome, LinkError> {
        self.send(request, party, true).await
    }

    /// Tells the server something; resolves when that was written.
    pub(super) async fn notify(&self, notification: Notification) -> Result<(), LinkError> {
        self.shared.outbox.send(Message::from(notification).to_bytes(), Kind::Other).await
    }

    pub(super) fn end(&self) -> &End {
        &self.end
    }

    /// Ends it and waits until nothing is left of it.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.end.over.cancelled().await;
    }

    /// Ends it without a farewell and waits until nothing is left of it.
    pub(super) async fn cut(&self) {
        self.cut.cancel();
        self.end.over.cancelled().await;
    }

    async fn send(
        &self,
        request: Outgoing,
        party: Option<Arc<dyn Party>>,
        is_cancelled: bool,
    ) -> Result<Outcome, LinkError> {
        let Outgoing { method, mut params, .. } = request;
        let number = self.shared.numbers.fetch_add(1, Ordering::Relaxed);
        let token = party.as_ref().and_then(|_| Token::replace(&mut params, number));
        let hearing = match &party {
            None => Hearing::Nothing,
            Some(_) if method == "subscriptions/listen" => Hearing::Named,
            Some(_) => Hearing::Everything,
        };
        let errand = Arc::new(Errand::new(number, hearing, token));
        self.shared.open(&errand)?;
        let mut under_way =
            UnderWay { shared: &self.shared, errand: &errand, questions: Questions::default(), is_cancelled };
        let text = Message::Request(Request { id: number.into(), method, params }).to_bytes();
        self.shared.outbox.queue(Frame::new(text, Kind::Request(number), Some(errand.clone()))).await;
        under_way.settled(party.as_ref()).await
    }
}

impl Drop for Mux {
    fn drop(&mut self) {
        if self.shared.is_agreed() {
            self.stop.cancel();
        } else {
            self.cut.cancel();
        }
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, errand: &Arc<Errand>) -> Result<(), LinkError> {
        let mut desk = self.desk();
        if desk.is_ended {
            return Err(LinkError::Closed);
        }
        if desk.running.len() == MAX_REQUESTS {
            return Err(LinkError::Crowded);
        }
        desk.running.insert(errand.number, errand.clone());
        Ok(())
    }

    /// Whether the handshake is over.
    pub(super) fn is_agreed(&self) -> bool {
        self.is_agreed.load(Ordering::Relaxed)
    }

    /// The request with this number, if it is under way.
    pub(super) fn errand(&self, number: u64) -> Option<Arc<Errand>> {
        self.desk().running.get(&number).cloned()
    }

    /// The request with this number, which is answered now.
    pub(super) fn settle(&self, number: u64) -> Option<Arc<Errand>> {
        let mut desk = self.desk();
        desk.left.retain(|(left, _)| *left != number);
        desk.running.remove(&number)
    }

    /// All requests under way.
    pub(super) fn errands(&self) -> Vec<Arc<Errand>> {
        self.desk().running.values().cloned().collect()
    }

    /// The request because of which the server surely says what it says: the only one whose party hears everything.
    pub(super) fn sole(&self) -> Option<Arc<Errand>> {
        let mut desk = self.desk();
        desk.left.retain(|(_, when)| when.elapsed() < LINGERS);
        if !desk.left.is_empty() {
            return None;
        }
        let mut heard = desk.running.values().filter(|errand| errand.hearing == Hearing::Everything);
        let sole = heard.next()?;
        heard.next().is_none().then(|| sole.clone())
    }

    /// The connection has ended, and all requests with it.
    pub(super) fn end(&self) {
        let running = {
            let mut desk = self.desk();
            desk.is_ended = true;
            std::mem::take(&mut desk.running)
        };
        for errand in running.into_values() {
            errand.lose();
        }
    }

    /// Answers a question of the server.
    pub(super) fn respond(&self, question: Id, outcome: Outcome) {
        self.outbox.send_now(Message::from(Response::new(question, outcome)).to_bytes(), Kind::Other);
    }

    /// Nobody waits for this request any more.
    fn leave(&self, errand: &Errand, is_cancelled: bool) {
        let remains = errand.leave();
        {
            let mut desk = self.desk();
            let was_running = desk.running.remove(&errand.number).is_some();
            if was_running && remains.is_begun && errand.hearing == Hearing::Everything {
                desk.left.retain(|(_, when)| when.elapsed() < LINGERS);
                if desk.left.len() < MAX_REQUESTS {
                    desk.left.push_back((errand.number, Instant::now()));
                }
            }
        }
        for question in remains.asked {
            let error = Error::new(Error::INTERNAL_ERROR, "the request that this belongs to has ended");
            self.respond(question, Err(error.into()));
        }
        if remains.is_begun && is_cancelled {
            self.outbox.send_now(cancelled(errand.number), Kind::Cancels(errand.number));
        }
    }
}

fn cancelled(number: u64) -> Bytes {
    let reason = Raw::text("the caller does not wait any more");
    let params: Members = [("requestId", number.into()), ("reason", reason)].into_iter().collect();
    Message::from(Notification::new("notifications/cancelled", Some(params.to_raw()))).to_bytes()
}

/// A request while somebody waits for it.
struct UnderWay<'a> {
    shared: &'a Shared,
    errand: &'a Errand,
    questions: Questions,
    is_cancelled: bool,
}

impl UnderWay<'_> {
    async fn settled(&mut self, party: Option<&Arc<dyn Party>>) -> Result<Outcome, LinkError> {
        loop {
            let letter = tokio::select! {
                letter = self.errand.next() => letter,
                (question, outcome) = self.questions.answered() => {
                    if self.errand.answers(&question) {
                        self.shared.respond(question, outcome);
                    }
                    continue;
                }
            };
            match (letter, party) {
                (Letter::Settled(result), _) => return result,
                (Letter::Told(notification), Some(party)) => party.told(notification).await,
                (Letter::Asked { id, method, params }, Some(party)) => {
                    let party = party.clone();
                    let answer = async move { party.asked(&method, params).await };
                    self.questions.add(id, Box::pin(answer));
                }
                (Letter::Withdrawn(question), _) => {
                    self.questions.withdraw(&question);
                }
                // Nothing is sent to a request without a party.
                (Letter::Told(_) | Letter::Asked { .. }, None) => {}
            }
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.shared.leave(self.errand, self.is_cancelled);
    }
}
