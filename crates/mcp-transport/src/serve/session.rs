//! One MCP session over one transport, from its first message to an orderly end.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        ClientJsonRpcMessage, ClientNotification, ClientRequest, ErrorCode, GetMeta as _, JsonRpcMessage,
        ProtocolVersion, RequestId, ServerJsonRpcMessage,
    },
    service::ServerInitializeError,
    transport::Transport,
};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::task_tracker::TaskTrackerToken};

use super::lifetime::Lifetime;

/// Requests whose answers are not written yet; more are refused.
pub(crate) const MAX_REQUESTS: usize = 256;

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
    /// There are no more requests, but the client still reads: a pipe was closed. The server had this client only.
    NoMoreRequests,
    /// The client is gone, and nobody wants the answers.
    Gone,
}

/// On what terms a session is served.
pub(crate) struct Terms {
    pub(crate) end: InputEnd,
    pub(crate) grace: Duration,
    pub(crate) lifetime: Lifetime,
    /// Dropped when the session has really ended.
    pub(crate) holds: Box<dyn Send>,
}

/// Serves one session until its client has gone or the server stops, and then lets requests in flight finish.
///
/// An input that ends before any request is a session too: a short one.
pub(crate) async fn serve_session<H, T>(handler: H, transport: T, terms: Terms) -> Result<(), SessionError>
where
    H: ServerHandler,
    T: Transport<RoleServer, Error: std::error::Error + Send + Sync + 'static> + 'static,
{
    let session = Session::new(transport, terms);
    let give_up = session.give_up.clone();
    let _ends_with_us = give_up.clone().drop_guard();
    // On the heap, or the session would keep the room of the handshake for as long as it lives.
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

/// A transport that ends in good order: when its input ends, or it is told to stop, it accepts no more requests, and says so
/// to the session only when all answers are written or the grace period is over.
pub(crate) struct Session<T> {
    inner: T,
    end: InputEnd,
    grace: Duration,
    stopping: CancellationToken,
    give_up: CancellationToken,
    /// Requests whose answers are not written yet.
    requests: Arc<watch::Sender<HashSet<RequestId>>>,
    /// Whether the client has chosen its era.
    begun: bool,
    /// The answer to a request too many, kept here because `receive` may be dropped in the middle of it.
    refusing: Option<BoxFuture<'static, ()>>,
    finishing: Option<Finishing>,
    _holds: (Box<dyn Send>, TaskTrackerToken),
}

/// The end of a session that has begun.
#[derive(Clone, Copy)]
struct Finishing {
    deadline: Instant,
    /// Whether the client may still answer, or cancel.
    listening: bool,
}

/// What becomes of a message.
enum Admission {
    Passed,
    Ignored,
    Refused(RequestId),
}

impl<T: Transport<RoleServer>> Session<T> {
    pub(crate) fn new(inner: T, terms: Terms) -> Self {
        let Terms { end, grace, lifetime, holds } = terms;
        Self {
            inner,
            end,
            grace,
            give_up: CancellationToken::new(),
            requests: Arc::new(watch::Sender::new(HashSet::new())),
            begun: false,
            refusing: None,
            finishing: None,
            _holds: (holds, lifetime.open.token()),
            stopping: lifetime.stopping,
        }
    }

    async fn accept(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            if let Some(refusing) = &mut self.refusing {
                refusing.await;
                self.refusing = None;
            }
            let message = self.inner.receive().await?;
            match self.admit(&message) {
                Admission::Passed => return Some(message),
                Admission::Ignored => {}
                Admission::Refused(id) => {
                    let sending = self.inner.send(JsonRpcMessage::error(overloaded(), Some(id)));
                    self.refusing = Some(Box::pin(async move { drop(sending.await) }));
                }
            }
        }
    }

    /// Before the client has chosen its era anything but a request would end the session with an error, although clients may
    /// send it: a cancellation of their probe, for instance.
    fn admit(&mut self, message: &ClientJsonRpcMessage) -> Admission {
        match message {
            JsonRpcMessage::Request(request) => {
                if self.requests.borrow().len() >= MAX_REQUESTS {
                    return Admission::Refused(request.id.clone());
                }
                self.begun |= chooses_era(&request.request);
                self.requests.send_if_modified(|requests| requests.insert(request.id.clone()));
                return Admission::Passed;
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
        if self.begun { Admission::Passed } else { Admission::Ignored }
    }

    /// Passes on what the calls in flight may be waiting for, until all are answered. After the deadline everything that is
    /// still running is cancelled.
    async fn finish(&mut self, mut finishing: Finishing) -> Option<ClientJsonRpcMessage> {
        let mut requests = self.requests.subscribe();
        loop {
            tokio::select! {
                _ = requests.wait_for(HashSet::is_empty) => return None,
                () = sleep_until(finishing.deadline) => {
                    tracing::warn!("calls in flight are cancelled: the grace period is over");
                    self.give_up.cancel();
                    return None;
                }
                message = self.inner.receive(), if finishing.listening => match message {
                    Some(JsonRpcMessage::Request(_)) => {} // the end of the connection is its answer
                    Some(message) => {
                        if matches!(self.admit(&message), Admission::Passed) {
                            return Some(message);
                        }
                    }
                    None if self.end == InputEnd::Gone => {
                        self.give_up.cancel();
                        return None;
                    }
                    None => {
                        finishing.listening = false;
                        self.finishing = Some(finishing);
                    }
                },
            }
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
        if self.finishing.is_none() {
            let stopping = self.stopping.clone();
            let listening = match stopping.run_until_cancelled(self.accept()).await {
                Some(Some(message)) => return Some(message),
                Some(None) if self.end == InputEnd::Gone => {
                    self.give_up.cancel();
                    return None;
                }
                Some(None) => {
                    stopping.cancel(); // streams on which the client listens would never end
                    false
                }
                None => true,
            };
            let deadline = Instant::now() + self.grace;
            self.finishing = Some(Finishing { deadline, listening });
        }
        self.finish(self.finishing?).await
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}

/// Whether a session is of one era or the other from this request on: probes and pings leave it open.
fn chooses_era(request: &ClientRequest) -> bool {
    match request {
        ClientRequest::InitializeRequest(_) => true,
        ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_) => false,
        request => {
            let meta = request.get_meta();
            meta.missing_required_keys(&ProtocolVersion::V_2026_07_28).is_empty()
                && meta
                    .protocol_version()
                    .is_some_and(|version| ProtocolVersion::KNOWN_VERSIONS.contains(&version))
        }
    }
}

fn overloaded() -> ErrorData {
    let message =
        format!("too many requests are in flight: at most {MAX_REQUESTS}, try again after an answer");
    ErrorData::new(ErrorCode(-32006), message, Some(json!({ "code": "SERVER_OVERLOADED" })))
}
