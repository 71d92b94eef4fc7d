//! Where the messages of one session of Streamable HTTP belong, and what stays of them.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};

use rmcp::{
    model::{
        ClientJsonRpcMessage, ClientNotification, GetExtensions as _, GetMeta as _, JsonRpcMessage,
        ProgressToken, RequestId, ServerJsonRpcMessage, ServerNotification,
    },
    service::OriginatingRequestId,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::outbox::{self, Letter, MAX_BYTES};

type Outbox = outbox::Outbox<Arc<ServerJsonRpcMessage>>;

impl Letter for Arc<ServerJsonRpcMessage> {
    fn size(&self) -> usize {
        0 // it would have to be written
    }
}

/// Responses that stay to be read again after they were answered and left, and for how long.
const MAX_LEFT: usize = 16;
const LEFT: Duration = Duration::from_secs(60);

/// Where a message belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
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

pub(super) struct Routes {
    /// `None` when the session gets no more.
    pub(super) to_session: Option<mpsc::Sender<Box<ClientJsonRpcMessage>>>,
    pub(super) handshake: Option<oneshot::Sender<ServerJsonRpcMessage>>,
    pub(super) listening: Outbox,
    responses: HashMap<u64, Response>,
    keys: HashMap<Key, u64>,
    /// Responses that are answered and that nobody reads, and since when.
    left: VecDeque<(u64, Instant)>,
    /// Given to the last response, or to the last reader.
    pub(super) last: u64,
    /// Whether the client knows events without a message, which name a place to resume at. Clients of before 2025-11-25 take
    /// one for a broken event.
    pub(super) primes: bool,
    /// Responses that clients are reading, and when that last changed.
    pub(super) open: usize,
    pub(super) used: Instant,
}

#[derive(Default)]
struct Response {
    outbox: Outbox,
    keys: Vec<Key>,
    is_answered: bool,
}

impl Routes {
    pub(super) fn new(to_session: mpsc::Sender<Box<ClientJsonRpcMessage>>) -> Self {
        Self {
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
        }
    }

    pub(super) fn outbox(&mut self, place: Place) -> Option<&mut Outbox> {
        match place {
            Place::Listening => Some(&mut self.listening),
            Place::Response(number) => self.responses.get_mut(&number).map(|response| &mut response.outbox),
        }
    }

    /// Lets a reader go on who had the message of this number, if there is one.
    pub(super) fn resume(&mut self, place: Place, reader: u64, last: usize) -> bool {
        let resumed = self.outbox(place).is_some_and(|outbox| outbox.resume(reader, last));
        if resumed {
            self.left.retain(|(number, _)| place != Place::Response(*number));
        }
        resumed
    }

    /// Forgets what nobody came back for.
    pub(super) fn forget(&mut self, now: Instant) {
        while let Some((number, since)) = self.left.front().copied()
            && now.duration_since(since) >= LEFT
        {
            self.left.pop_front();
            self.responses.remove(&number);
        }
    }

    /// Nothing will come any more.
    pub(super) fn end(&mut self) {
        self.to_session = None;
        self.handshake = None;
        self.listening.complete();
        self.responses.values_mut().for_each(|response| response.outbox.complete());
    }

    /// A response for a request, read by the reader of the same number, unless there is one already.
    pub(super) fn open_response(&mut self, message: &ClientJsonRpcMessage) -> Option<u64> {
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
    pub(super) fn refuse(&mut self, error: ServerJsonRpcMessage) -> u64 {
        self.last += 1;
        let mut response = Response { is_answered: true, ..Response::default() };
        response.outbox.join(self.last);
        response.outbox.push(Arc::new(error));
        response.outbox.complete();
        self.responses.insert(self.last, response);
        self.last
    }

    /// A cancelled request gets no answer, and an answered question needs no place any more.
    pub(super) fn note(&mut self, message: &ClientJsonRpcMessage) {
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

    pub(super) fn push(&mut self, message: ServerJsonRpcMessage) -> io::Result<Option<Place>> {
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
        let is_full = self.outbox(place).is_some_and(|outbox| outbox.push(Arc::new(message)));
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
                response.outbox.push(Arc::new(message));
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
    pub(super) fn settle(&mut self, number: u64) {
        let Some(response) = self.responses.get(&number) else { return };
        let is_left = self.left.iter().any(|(left, _)| *left == number);
        if !response.is_answered || response.outbox.has_readers() || is_left {
            return;
        }
        if !response.outbox.can_be_resumed(self.primes) || !is_small(&response.outbox) {
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

/// Whether what a client would read again is not too much to keep.
fn is_small(outbox: &Outbox) -> bool {
    let mut room = Room(MAX_BYTES);
    outbox.kept().all(|message| serde_json::to_writer(&mut room, message.as_ref()).is_ok())
}

/// Takes so many bytes and no more.
struct Room(usize);

impl io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An event's id: the number of its message, and where it is not the stream on which the client listens, that of its response.
pub(super) fn name(place: Place, message: usize) -> String {
    match place {
        Place::Listening => message.to_string(),
        Place::Response(number) => format!("{message}/{number}"),
    }
}

pub(super) fn parse(event: &str) -> Option<(Place, usize)> {
    match event.split_once('/') {
        None => Some((Place::Listening, event.parse().ok()?)),
        Some((message, response)) => Some((Place::Response(response.parse().ok()?), message.parse().ok()?)),
    }
}
