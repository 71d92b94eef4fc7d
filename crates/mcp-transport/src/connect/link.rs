//! What all transports of this crate share: their error, and the queue of messages that wait to be written.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};
use tokio_tungstenite::tungstenite;

use super::{
    authorizer::{Failure, NotAuthorized},
    http_client::challenge,
};

/// Messages that wait until the server takes them. The calls behind more of them wait too.
const QUEUE: usize = 64;
/// Messages that do not wait for room. There are more only when a server asks and asks, and does not read the answers.
const URGENT: usize = 8192;

/// Why a connection cannot be made, or a message not be sent. No message and no part of one is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// Nothing of the message was sent.
    #[error("the connection has ended")]
    Closed,
    #[error("the connection ended before the answer came")]
    Unanswered,
    #[error("too many requests are under way on the connection")]
    Crowded,
    #[error("the message is not JSON")]
    Json(#[source] serde_json::Error),
    #[error("the server did not take the message in time")]
    Stalled,
    #[error("the message could not be written")]
    Io(#[source] io::Error),
    #[error("the request failed")]
    Http(#[source] reqwest::Error),
    #[error("the server answered with HTTP {status}")]
    Status {
        status: StatusCode,
        challenge: Option<String>,
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
    },
    #[error("{0}")]
    NotMcp(String),
    #[error("{0}")]
    Protocol(String),
    /// Only this message of the server, the rest is as it should be.
    #[error("{0}")]
    TooLarge(String),
    #[error("the WebSocket failed")]
    WebSocket(#[source] Box<tungstenite::Error>),
    #[error(transparent)]
    NotAuthorized(#[from] NotAuthorized),
}

impl LinkError {
    /// Whether a server that is asked for its era says in this way that it does not know the question.
    pub(crate) fn is_older_era(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                status.is_client_error() && !matches!(status.as_u16(), 401 | 403 | 408 | 429)
            }
            _ => false,
        }
    }
}

impl Failure for LinkError {
    fn refused(&self) -> Option<(StatusCode, Option<&str>)> {
        match self {
            Self::Status { status, challenge, .. } => Some((*status, challenge.as_deref())),
            Self::WebSocket(error) => match &**error {
                tungstenite::Error::Http(response) => {
                    Some((response.status(), challenge(response.headers())))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// A message as text, on its way to the server.
pub(crate) struct Frame {
    text: Bytes,
    pub(crate) kind: Kind,
    fate: Option<Arc<dyn Fate>>,
    has_begun: bool,
}

/// What a message is about, as far as transports must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request of this number.
    Request(u64),
    /// The request of this number is not wanted any more.
    Cancels(u64),
    Other,
}

/// Whoever wants to know what becomes of a message.
pub(crate) trait Fate: Send + Sync {
    /// Whether it is still wanted, as it is about to be written.
    fn begins(&self) -> bool;
    /// Whether it was written. After [`LinkError::Closed`] the server has certainly not seen it.
    fn settled(&self, outcome: Result<(), LinkError>);
}

impl Frame {
    pub(crate) fn new(text: Bytes, kind: Kind, fate: Option<Arc<dyn Fate>>) -> Self {
        Self { text, kind, fate, has_begun: false }
    }

    /// What is to be written. A clone is the same memory.
    pub(crate) fn text(&self) -> &Bytes {
        &self.text
    }

    /// It was written, or not.
    pub(crate) fn settle(mut self, outcome: Result<(), LinkError>) {
        if let Some(fate) = self.fate.take() {
            fate.settled(outcome);
        }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let Some(fate) = self.fate.take() {
            let interrupted = || LinkError::Io(io::ErrorKind::Interrupted.into());
            fate.settled(Err(if self.has_begun { interrupted() } else { LinkError::Closed }));
        }
    }
}

/// The queue of messages to one server, in the order in which they were sent.
#[derive(Clone)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Frame>,
    urgent: mpsc::Sender<Frame>,
}

/// The other end of the queue, for whoever writes.
pub(crate) struct Queue {
    queue: mpsc::Receiver<Frame>,
    urgent: mpsc::Receiver<Frame>,
}

impl Outbox {
    pub(crate) fn new() -> (Self, Queue) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let (urgent, urgent_receiver) = mpsc::channel(URGENT);
        (Self { queue, urgent }, Queue { queue: receiver, urgent: urgent_receiver })
    }

    /// Queues a message now, or as soon as there is room.
    pub(crate) fn queue(&self, frame: Frame) -> impl Future<Output = ()> + Send + use<> {
        // Not within the future: rmcp polls several of them in no particular order.
        let full = match self.queue.try_send(frame) {
            Err(TrySendError::Full(frame)) => Some((self.queue.clone(), frame)),
            Ok(()) | Err(TrySendError::Closed(_)) => None, // whoever waits for it learns it from its end
        };
        async move {
            if let Some((queue, frame)) = full {
                let _ = queue.send(frame).await; // as above
            }
        }
    }

    /// Queues a message now, or as soon as there is room; resolves when it was written.
    pub(crate) fn send(
        &self,
        text: Bytes,
        kind: Kind,
    ) -> impl Future<Output = Result<(), LinkError>> + Send + use<> {
        let (written, told) = oneshot::channel();
        let queued = self.queue(Frame::new(text, kind, Some(Arc::new(Written(Mutex::new(Some(written)))))));
        async move {
            queued.await;
            told.await.unwrap_or(Err(LinkError::Closed))
        }
    }

    /// Queues a message before all others: the cancellation of a request that was written, or the answer to a question.
    pub(crate) fn send_now(&self, text: Bytes, kind: Kind) {
        // When nobody reads, or is there, it does not matter to anybody.
        if let Err(TrySendError::Full(_)) = self.urgent.try_send(Frame::new(text, kind, None)) {
            tracing::warn!("the server does not read what it is answered: an answer is dropped");
        }
    }

    /// Waits until nobody writes any more.
    pub(crate) async fn closed(&self) {
        self.queue.closed().await;
    }
}

impl Queue {
    /// The next message that is still wanted. May be dropped at any time.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            let mut frame = tokio::select! {
                biased;
                Some(frame) = self.urgent.recv() => frame,
                frame = self.queue.recv() => frame?,
            };
            if frame.fate.as_ref().is_none_or(|fate| fate.begins()) {
                frame.has_begun = true;
                return Some(frame);
            }
        }
    }
}

/// Somebody who waits until a message is written.
struct Written(Mutex<Option<oneshot::Sender<Result<(), LinkError>>>>);

impl Fate for Written {
    fn begins(&self) -> bool {
        true
    }

    fn settled(&self, outcome: Result<(), LinkError>) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiting) = waiting {
            let _ = waiting.send(outcome); // whoever sent it may be gone
        }
    }
}
