//! The messages of one session of Streamable HTTP, between the responses that carry them and the session.
//!
//! In place of rmcp's `LocalSessionManager`, which has a task of its own for each session, with five queues: a call passes two
//! hand-overs less here, and an idle session weighs half as much.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::Stream;
use rmcp::{
    ErrorData, RoleServer,
    model::{ClientJsonRpcMessage, JsonRpcMessage, ProtocolVersion, ServerJsonRpcMessage, ServerResult},
    transport::{Transport, common::server_side_http::ServerSseMessage},
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use super::routes::{Place, Routes, name, parse};

/// Messages of the client that wait to be taken.
const CAPACITY: usize = 64;
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

pub(super) fn exchange() -> (SessionSide, Arc<Exchange>) {
    let (to_session, incoming) = mpsc::channel(CAPACITY);
    let exchange = Arc::new(Exchange { routes: Mutex::new(Routes::new(to_session)), room: Notify::new() });
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
        if !routes.resume(place, reader, last) {
            return Err(Gone);
        }
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
        routes.forget(now);
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
        routes.end();
        drop(routes);
        self.room.notify_waiters();
    }

    /// Nothing panics while this lock is held, so what it guards is whole.
    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
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
