//! One MCP session over one transport, from its first message to an orderly end.

use std::{collections::HashSet, sync::Arc, time::Duration};

use rmcp::{
    RoleServer, ServerHandler, ServiceExt as _,
    model::{ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId, ServerJsonRpcMessage},
    service::ServerInitializeError,
    transport::Transport,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// Time for requests in flight to finish after the end of the input, or after a signal.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// Requests whose answers are not written yet; while a client reads none, no more are accepted.
const MAX_REQUESTS: usize = 256;

/// Why a session over standard input and output ended badly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The client and this server do not speak the same protocol.
    #[error("the client began with something else than a request")]
    NotARequest,
    /// The client's first request could not be answered.
    #[error("the handshake failed")]
    Handshake(#[source] Box<ServerInitializeError>),
    /// The task of the session panicked.
    #[error("the session broke")]
    Broken(#[from] tokio::task::JoinError),
}

/// What the end of the input means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputEnd {
    /// There are no more requests, but the client still reads: a pipe was closed. Such a session has a `stopping` of its own.
    NoMoreRequests,
    /// The client is gone, and nobody wants the answers.
    Gone,
}

/// Serves one session until its client has gone or `stopping` is cancelled, and then lets requests in flight finish.
///
/// An input that ends before any request is a session too: a short one.
pub(crate) async fn serve_session<H, T>(
    handler: H,
    transport: T,
    end: InputEnd,
    stopping: CancellationToken,
) -> Result<(), SessionError>
where
    H: ServerHandler,
    T: Transport<RoleServer, Error: std::error::Error + Send + Sync + 'static> + 'static,
{
    let give_up = CancellationToken::new();
    let requests = Arc::new(watch::Sender::new(HashSet::new()));
    let session = Session {
        inner: transport,
        end,
        stopping,
        give_up: give_up.clone(),
        requests,
        begun: false,
        deadline: None,
    };
    let _ends_with_us = give_up.clone().drop_guard();
    // On the heap: without optimisation the handshake alone would take most of a thread's stack.
    match Box::pin(handler.serve_with_ct(session, give_up)).await {
        Ok(running) => Ok(running.waiting().await.map(drop)?),
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => Ok(()),
        // Its text could quote a message.
        Err(ServerInitializeError::ExpectedInitializeRequest(_)) => Err(SessionError::NotARequest),
        // The answer could not be written: the client has gone.
        Err(ServerInitializeError::TransportError { .. }) => Ok(()),
        Err(error) => Err(SessionError::Handshake(Box::new(error))),
    }
}

/// A transport that ends in good order: when its input ends, or it is told to stop, it accepts nothing more, and says so to
/// the session only when all answers are written or the grace period is over.
struct Session<T> {
    inner: T,
    end: InputEnd,
    stopping: CancellationToken,
    give_up: CancellationToken,
    /// Requests whose answers are not written yet.
    requests: Arc<watch::Sender<HashSet<RequestId>>>,
    begun: bool,
    deadline: Option<Instant>,
}

impl<T: Transport<RoleServer>> Session<T> {
    async fn accept(&mut self) -> Option<ClientJsonRpcMessage> {
        let mut requests = self.requests.subscribe();
        loop {
            // An error means that the sender is gone, and it lives in `self`.
            let _ = requests.wait_for(|waiting| waiting.len() < MAX_REQUESTS).await;
            let message = self.inner.receive().await?;
            if self.admit(&message) {
                return Some(message);
            }
        }
    }

    /// Whether to pass `message` on. Before the first request anything else would end the session with an error, although
    /// clients may send it: a cancellation of their probe, for instance.
    fn admit(&mut self, message: &ClientJsonRpcMessage) -> bool {
        match message {
            JsonRpcMessage::Request(request) => {
                self.begun = true;
                self.requests.send_if_modified(|requests| requests.insert(request.id.clone()));
            }
            JsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) = &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    // Cancelled requests get no answer.
                    self.requests.send_if_modified(|requests| requests.remove(id));
                }
            }
            _ => {}
        }
        self.begun
    }

    /// Waits for the answers; after the deadline everything that is still running is cancelled.
    async fn finish(&mut self, deadline: Instant) {
        let mut requests = self.requests.subscribe();
        if timeout_at(deadline, requests.wait_for(HashSet::is_empty)).await.is_err() {
            tracing::warn!("calls in flight are cancelled: the grace period is over");
            self.give_up.cancel();
        }
    }
}

impl<T> Transport<RoleServer> for Session<T>
where
    T: Transport<RoleServer>,
{
    type Error = T::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let answered = match &message {
            JsonRpcMessage::Response(response) => Some(response.id.clone()),
            JsonRpcMessage::Error(error) => error.id.clone(),
            _ => None,
        };
        let sending = self.inner.send(message);
        let requests = self.requests.clone();
        async move {
            let sent = sending.await;
            if let Some(id) = answered {
                requests.send_if_modified(|requests| requests.remove(&id));
            }
            sent
        }
    }

    /// Cancel-safe: everything that must outlive one call is in `self`.
    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        let deadline = match self.deadline {
            Some(deadline) => deadline,
            None => {
                let stopping = self.stopping.clone();
                match stopping.run_until_cancelled(self.accept()).await {
                    Some(Some(message)) => return Some(message),
                    Some(None) if self.end == InputEnd::Gone => {
                        self.give_up.cancel();
                        return None;
                    }
                    // Streams that only listen would never end by themselves.
                    Some(None) => self.stopping.cancel(),
                    None => {}
                }
                *self.deadline.insert(Instant::now() + GRACE)
            }
        };
        self.finish(deadline).await;
        None
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}
