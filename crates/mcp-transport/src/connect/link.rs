//! What all transports of this crate share: their error, and the queue of messages that wait to be written.

use std::io;

use futures_util::FutureExt as _;
use http::StatusCode;
use rmcp::model::ClientJsonRpcMessage;
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

/// Why a connection cannot be made, or a message not be sent. No message and no part of one is in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("the connection has ended")]
    Closed,
    #[error("the message is not JSON")]
    Json(#[source] serde_json::Error),
    #[error("the server did not take the message in time")]
    Stalled,
    #[error("the message could not be written")]
    Io(#[source] io::Error),
    #[error("the request failed")]
    Http(#[source] reqwest::Error),
    #[error("the server answered with HTTP {status}")]
    Status { status: StatusCode, challenge: Option<String> },
    #[error("{0}")]
    NotMcp(String),
    #[error("{0}")]
    Protocol(String),
    #[error("the WebSocket failed")]
    WebSocket(#[source] Box<tungstenite::Error>),
    #[error(transparent)]
    NotAuthorized(#[from] NotAuthorized),
}

impl Failure for LinkError {
    fn refused(&self) -> Option<(StatusCode, Option<&str>)> {
        match self {
            Self::Status { status, challenge } => Some((*status, challenge.as_deref())),
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

/// A message as text, and who wants to know whether it was written.
pub(super) struct Outgoing {
    pub(super) text: String,
    pub(super) written: oneshot::Sender<Result<(), LinkError>>,
}

/// The queue of messages to one server, in the order in which they were sent.
pub(super) struct Outbox(mpsc::Sender<Outgoing>);

impl Outbox {
    /// The queue, and its other end for whoever writes.
    pub(super) fn new() -> (Self, mpsc::Receiver<Outgoing>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    /// Queues a message now, or as soon as there is room; resolves when it was written.
    pub(super) fn send(
        &self,
        message: &ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), LinkError>> + Send + use<> {
        let queue = self.0.clone();
        let (written, told) = oneshot::channel();
        // Not within the future: rmcp polls several of them in no particular order.
        let queued = serde_json::to_string(message)
            .map(|text| queue.try_send(Outgoing { text, written }).map_err(Box::new));
        async move {
            match queued.map_err(LinkError::Json)?.map_err(|error| *error) {
                Ok(()) => {}
                Err(TrySendError::Full(message)) => {
                    queue.send(message).await.map_err(|_| LinkError::Closed)?;
                }
                Err(TrySendError::Closed(_)) => return Err(LinkError::Closed),
            }
            told.map(|told| told.unwrap_or(Err(LinkError::Closed))).await
        }
    }
}
