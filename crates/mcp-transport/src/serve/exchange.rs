//! The messages of one session of Streamable HTTP, between the responses that carry them and the session.
//!
//! In place of rmcp's `LocalSessionManager`, which has a task of its own for each session, with five queues: a call passes two
//! hand-overs less here, and an idle session weighs half as much.

use std::{
    collections::{HashMap, VecDeque},
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::Stream;
use rmcp::{
    ErrorData, RoleServer,
    model::{
        ClientJsonRpcMessage, ClientNotification, GetExtensions as _, GetMeta as _, JsonRpcMessage,
        ProgressToken, ProtocolVersion, RequestId, ServerJsonRpcMessage, ServerNotification, ServerResult,
    },
    service::OriginatingRequestId,
    transport::{Transport, common::server_side_http::ServerSseMessage},
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use super::outbox::Outbox;

/// Messages of the client that wait to be taken.
const CAPACITY: usize = 64;
/// Responses that stay to be read again after they were answered and left, and for how long.
const MAX_LEFT: usize = 16;
const LEFT: Duration = Duration::from_secs(60);
/// How long a client should wait before it listens again.
const RETRY: Duration = Duration::from_secs(3);

/// The session is over, or there is no such response.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("there is nothing here to be read")]
pub(super) struct Gone;

/// The side of the responses.
pub(super) struct Exchange {
    routes: Mutex<Routes>,
    /// Somebody has read, or left.
    room: Notify,
}

/// The side of the session: its transport.
pub(crate) struct SessionSide {
    incoming: mpsc::Receiver<Box<ClientJsonRpcMessage>>,
    exchange: Arc<Exchange>,
}

/// Where a message belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The stream on which the client listens.
    Listening,
    /// The response of this number.
    Response(u64),
}

/// What leads to a response.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Request(RequestId),
    Progress(ProgressToken),
    /// A request of the server, made while it answered.
    Asked(RequestId),
}

struct Routes {
    /// `None` when the session gets no more.
    to_session: Option<mpsc::Sender<Box<ClientJsonRpcMessage>>>,
    handshake: Option<oneshot::Sender<ServerJsonRpcMessage>>,
    listening: Outbox,
    responses: HashMap<u64, Response>,
    keys: HashMap<Key, u64>,
    /// Responses that are answered and that nobody reads, and since when.
    left: VecDeque<(u64, Instant)>,
    /// Given to the last response, or to the last reader.
    last: u64,
    /// Whether the client knows events without a message, which name a place to resume at. Clients of before 2025-11-25 take
    /// one for a broken event.
    primes: bool,
    /// Responses that clients are reading, and when that last changed.
    open: usize,
    used: Instant,
}

#[derive(Default)]
struct Response {
    outbox: Outbox,
    keys: Vec<Key>,
    is_answered: bool,
}

pub(super) fn exchange() -> (SessionSide, Arc<Exchange>) {
    let (to_session, incoming) = mpsc::channel(CAPACITY);
    let routes = Routes {
        to_session: Some(to_session),
        handshake: None,
        listening: Outbox::default(),
        responses: HashMap::new(),
        keys: HashMap::new(),
        left: VecDeque::new(),
        last: 0,
        primes: false,
        open: 0,
        used: Instant::now(),
    };
    let exchange = Arc::new(Exchange { routes: Mutex::new(routes), room: Notify::new() });
    (SessionSide { incoming, exchange: exchange.clone() }, exchange)
}

impl Exchange {
    /// Passes the first message on and waits for its answer.
    pub(super) async fn handshake(
        &self,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Gone> {
        let (answered, answer) = oneshot::channel();
        self.routes().handshake = Some(answered);
        self.accept(message).await?;
        let answer = answer.await.map_err(|_| Gone)?;
        if let JsonRpcMessage::Response(response) = &answer
            && let ServerResult::InitializeResult(result) = &response.result
        {
            self.routes().primes = result.protocol_version >= ProtocolVersion::V_2025_11_25;
        }
        Ok(answer)
    }

    /// Passes a request on; the response carries its answer and what belongs to it.
    pub(super) async fn request(self: &Arc<Self>, message: ClientJsonRpcMessage) -> Result<Events, Gone> {
        let to_session = self.routes().to_session.clone().ok_or(Gone)?;
        let place = to_session.reserve().await.map_err(|_| Gone)?;
        let mut routes = self.routes();
        let Some(number) = routes.open_response(&message) else {
            // Two answers of one id could not be told apart.
            let JsonRpcMessage::Request(request) = message else { return Err(Gone) };
            let why = ErrorData::invalid_request("a request with this id is in flight already", None);
            let number = routes.refuse(JsonRpcMessage::error(why, Some(request.id)));
            return Ok(self.read(routes, Place::Response(number), number));
        };
        place.send(Box::new(message));
        Ok(self.read(routes, Place::Response(number), number))
    }

    /// Passes on a message that gets no answer.
    pub(super) async fn accept(&self, message: ClientJsonRpcMessage) -> Result<(), Gone> {
        let to_session = {
            let mut routes = self.routes();
            routes.used = Instant::now();
            routes.note(&message);
            routes.to_session.clone().ok_or(Gone)?
        };
        to_session.send(Box::new(message)).await.map_err(|_| Gone)
    }

    /// What belongs to no response, from what nobody has read on.
    pub(super) fn listen(self: &Arc<Self>) -> Result<Events, Gone> {
        let mut routes = self.routes();
        if routes.to_session.is_none() {
            return Err(Gone);
        }
        routes.last += 1;
        let reader = routes.last;
        routes.listening.join(reader);
        Ok(self.read(routes, Place::Listening, reader))
    }

    /// What came after this event.
    pub(super) fn resume(self: &Arc<Self>, last_event: &str) -> Result<Events, Gone> {
        let (place, last) = parse(last_event).ok_or(Gone)?;
        let mut routes = self.routes();
        routes.last += 1;
        let reader = routes.last;
        if !routes.outbox(place).is_some_and(|outbox| outbox.resume(reader, last)) {
            return Err(Gone);
        }
        routes.left.retain(|(number, _)| place != Place::Response(*number));
        let mut events = self.read(routes, place, reader);
        events.priming = None; // the client has it
        Ok(events)
    }

    /// The session gets no more messages, which ends it.
    pub(super) fn hang_up(&self) {
        self.routes().to_session = None;
    }

    /// Whether nobody has used the session for so long. Also forgets what nobody came back for.
    pub(super) fn is_idle(&self, now: Instant, after: Duration) -> bool {
        let mut routes = self.routes();
        while let Some((number, since)) = routes.left.front().copied()
            && now.duration_since(since) >= LEFT
        {
            routes.left.pop_front();
            routes.responses.remove(&number);
        }
        routes.open == 0 && now.duration_since(routes.used) >= after
    }

    fn read(self: &Arc<Self>, mut routes: MutexGuard<'_, Routes>, place: Place, reader: u64) -> Events {
        routes.open += 1;
        routes.used = Instant::now();
        let read = routes.outbox(place).map_or(0, |outbox| outbox.read());
        let priming = routes.primes.then(|| ServerSseMessage::priming(name(place, read), RETRY));
        Events { exchange: self.clone(), place, reader, priming }
    }

    /// Takes a message of the session; returns where its reader has fallen behind.
    fn push(&self, message: ServerJsonRpcMessage) -> io::Result<Option<Place>> {
        self.routes().push(message)
    }

    /// Waits until the reader has caught up, or left.
    async fn has_room(&self, place: Place) {
        loop {
            let mut changed = std::pin::pin!(self.room.notified());
            changed.as_mut().enable();
            if !self.routes().outbox(place).is_some_and(|outbox| outbox.is_full()) {
                return;
            }
            changed.await;
        }
    }

    fn end(&self) {
        let mut routes = self.routes();
        routes.to_session = None;
        routes.handshake = None;
        routes.listening.complete();
        routes.responses.values_mut().for_each(|response| response.outbox.complete());
        drop(routes);
        self.room.notify_waiters();
    }

    /// Nothing panics while this lock is held, so what it guards is whole.
    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Routes {
    fn outbox(&mut self, place: Place) -> Option<&mut Outbox> {
        match place {
            Place::Listening => Some(&mut self.listening),
            Place::Response(number) => self.responses.get_mut(&number).map(|response| &mut response.outbox),
        }
    }

    /// A response for a request, read by the reader of the same number, unless there is one already.
    fn open_response(&mut self, message: &ClientJsonRpcMessage) -> Option<u64> {
        let JsonRpcMessage::Request(request) = message else { return None };
        let id = Key::Request(request.id.clone());
        if self.keys.contains_key(&id) {
            return None;
        }
        let token = request.request.get_meta().get_progress_token().map(Key::Progress);
        self.last += 1;
        let number = self.last;
        let mut response = Response::default();
        response.outbox.join(number);
        for key in [Some(id), token].into_iter().flatten() {
            self.keys.insert(key.clone(), number);
            response.keys.push(key);
        }
        self.responses.insert(number, response);
        Some(number)
    }

    /// A response that is an error of ours.
    fn refuse(&mut self, error: ServerJsonRpcMessage) -> u64 {
        self.last += 1;
        let mut response = Response { is_answered: true, ..Response::default() };
        response.outbox.join(self.last);
        response.outbox.push(error);
        response.outbox.complete();
        self.responses.insert(self.last, response);
        self.last
    }

    /// A cancelled request gets no answer, and an answered question needs no place any more.
    fn note(&mut self, message: &ClientJsonRpcMessage) {
        let answered = match message {
            JsonRpcMessage::Response(response) => Some(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref(),
            JsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) = &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                    && let Some(number) = self.keys.get(&Key::Request(id.clone())).copied()
                {
                    self.complete(number);
                }
                None
            }
            JsonRpcMessage::Request(_) => None,
        };
        if let Some(id) = answered {
            let asked = Key::Asked(id.clone());
            if let Some(response) =
                self.keys.remove(&asked).and_then(|number| self.responses.get_mut(&number))
            {
                response.keys.retain(|key| *key != asked);
            }
        }
    }

    fn push(&mut self, message: ServerJsonRpcMessage) -> io::Result<Option<Place>> {
        let place = match &message {
            JsonRpcMessage::Response(response) => return self.answer(response.id.clone(), message),
            JsonRpcMessage::Error(error) => match error.id.clone() {
                Some(id) => return self.answer(id, message),
                None => Place::Listening,
            },
            JsonRpcMessage::Request(request) => {
                let asking = request.request.extensions().get::<OriginatingRequestId>();
                let place = self.place(asking.map(|asking| Key::Request(asking.0.clone())));
                if let Place::Response(number) = place
                    && let Some(response) = self.responses.get_mut(&number)
                {
                    let asked = Key::Asked(request.id.clone());
                    self.keys.insert(asked.clone(), number);
                    response.keys.push(asked);
                }
                place
            }
            JsonRpcMessage::Notification(notification) => self.place(match &notification.notification {
                ServerNotification::ProgressNotification(progress) => {
                    Some(Key::Progress(progress.params.progress_token.clone()))
                }
                ServerNotification::CancelledNotification(cancelled) => {
                    cancelled.params.request_id.clone().map(Key::Asked)
                }
                _ => None,
            }),
        };
        let is_full = self.outbox(place).is_some_and(|outbox| outbox.push(message));
        Ok(is_full.then_some(place))
    }

    fn place(&self, key: Option<Key>) -> Place {
        key.and_then(|key| self.keys.get(&key)).map_or(Place::Listening, |number| Place::Response(*number))
    }

    /// An answer is the last message of its response. One that nobody waits for was cancelled.
    fn answer(&mut self, id: RequestId, message: ServerJsonRpcMessage) -> io::Result<Option<Place>> {
        if let Some(handshake) = self.handshake.take() {
            return match handshake.send(message) {
                Ok(()) => Ok(None),
                Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
            };
        }
        if let Some(number) = self.keys.get(&Key::Request(id)).copied() {
            if let Some(response) = self.responses.get_mut(&number) {
                response.outbox.push(message);
            }
            self.complete(number);
        }
        Ok(None)
    }

    fn complete(&mut self, number: u64) {
        let Some(response) = self.responses.get_mut(&number) else { return };
        response.is_answered = true;
        response.outbox.complete();
        for key in response.keys.drain(..) {
            // Another call may have taken the same progress token since.
            if self.keys.get(&key) == Some(&number) {
                self.keys.remove(&key);
            }
        }
        self.settle(number);
    }

    /// Keeps a response that is answered, and that nobody reads any more, for a while.
    fn settle(&mut self, number: u64) {
        let Some(response) = self.responses.get(&number) else { return };
        let is_left = self.left.iter().any(|(left, _)| *left == number);
        if !response.is_answered || response.outbox.has_readers() || is_left {
            return;
        }
        if !response.outbox.is_worth_keeping(self.primes) {
            self.responses.remove(&number);
            return;
        }
        self.left.push_back((number, Instant::now()));
        if self.left.len() > MAX_LEFT
            && let Some((oldest, _)) = self.left.pop_front()
        {
            self.responses.remove(&oldest);
        }
    }
}

/// The events of a response.
pub(super) struct Events {
    exchange: Arc<Exchange>,
    place: Place,
    reader: u64,
    priming: Option<ServerSseMessage>,
}

impl Events {
    /// Whether they belong to no response, and have no end.
    pub(super) fn are_endless(&self) -> bool {
        self.place == Place::Listening
    }

    /// Whether there is a message to be read.
    pub(super) fn are_ready(&self) -> bool {
        self.exchange.routes().outbox(self.place).is_some_and(|outbox| outbox.has_unread())
    }
}

impl Stream for Events {
    type Item = ServerSseMessage;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ServerSseMessage>> {
        if let Some(priming) = self.priming.take() {
            return Poll::Ready(Some(priming));
        }
        let mut routes = self.exchange.routes();
        let Some(outbox) = routes.outbox(self.place) else { return Poll::Ready(None) };
        let was_full = outbox.is_full();
        let polled = outbox.poll(self.reader, context);
        drop(routes);
        if was_full {
            self.exchange.room.notify_waiters();
        }
        polled.map(|numbered| {
            numbered.map(|(number, message)| {
                let mut event = ServerSseMessage::default();
                event.event_id = Some(name(self.place, number));
                event.message = Some(message);
                event
            })
        })
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut routes = self.exchange.routes();
        routes.open -= 1;
        routes.used = Instant::now();
        if let Some(outbox) = routes.outbox(self.place) {
            outbox.leave(self.reader);
        }
        if let Place::Response(number) = self.place {
            routes.settle(number);
        }
        drop(routes);
        self.exchange.room.notify_waiters();
    }
}

/// An event's id: the number of its message, and where it is not the stream on which the client listens, that of its response.
fn name(place: Place, message: usize) -> String {
    match place {
        Place::Listening => message.to_string(),
        Place::Response(number) => format!("{message}/{number}"),
    }
}

fn parse(event: &str) -> Option<(Place, usize)> {
    match event.split_once('/') {
        None => Some((Place::Listening, event.parse().ok()?)),
        Some((message, response)) => Some((Place::Response(response.parse().ok()?), message.parse().ok()?)),
    }
}

impl Transport<RoleServer> for SessionSide {
    type Error = io::Error;

    /// Messages keep the order in which this is called; the future waits for a reader who has fallen behind.
    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let pushed = self.exchange.push(message);
        let full = pushed.as_ref().is_ok_and(Option::is_some).then(|| self.exchange.clone());
        async move {
            if let (Some(place), Some(exchange)) = (pushed?, full) {
                exchange.has_room(place).await;
            }
            Ok(())
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        self.incoming.recv().await.map(|message| *message)
    }

    async fn close(&mut self) -> io::Result<()> {
        self.exchange.end();
        Ok(())
    }
}

impl Drop for SessionSide {
    fn drop(&mut self) {
        self.exchange.end();
    }
}
