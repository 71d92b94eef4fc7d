//! One MCP session over a pair of byte streams, from its first byte to an orderly end.

use std::{collections::HashSet, sync::Arc, time::Duration};

use rmcp::{
    RoleServer, ServiceExt as _,
    model::{ClientNotification, JsonRpcMessage, RequestId},
    service::{RxJsonRpcMessage, ServerInitializeError, TxJsonRpcMessage},
    transport::{Transport, async_rw::AsyncRwTransport},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::MessengerServer;

/// Time for requests in flight to finish after the end of the input, or after a signal.
const GRACE: Duration = Duration::from_secs(10);
/// Requests whose answers are not written yet; while a client reads none, no more are accepted.
const MAX_REQUESTS: usize = 256;

/// Serves one client until its side of the session ends or `stop` resolves, and lets requests in flight finish.
///
/// An input that ends before any request is a session too: a short one.
///
/// # Errors
/// When the answer to the handshake cannot be written, or the session's task fails.
pub async fn serve<R, W>(
    server: MessengerServer,
    input: R,
    output: W,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let stopping = CancellationToken::new();
    let give_up = CancellationToken::new();
    let transport = Session::new(AsyncRwTransport::new_server(input, output), &stopping, &give_up);
    let session = async {
        match server.serve_with_ct(transport, give_up).await {
            Ok(running) => running.waiting().await.map(drop).map_err(anyhow::Error::from),
            Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => Ok(()),
            // Its text could quote a message.
            Err(ServerInitializeError::ExpectedInitializeRequest(_)) => {
                anyhow::bail!("the client began with something else than a request")
            }
            Err(error) => Err(anyhow::Error::from(error).context("the handshake failed")),
        }
    };
    let stop = async {
        stop.await;
        tracing::info!("stopping");
        stopping.cancel();
        std::future::pending().await
    };
    tokio::select! {
        result = session => result,
        never = stop => never,
    }
}

/// A transport that ends in good order: when its input ends, or it is told to stop, it accepts nothing more, and says so to
/// the session only when all answers are written or the grace period is over.
struct Session<T> {
    inner: T,
    stopping: CancellationToken,
    give_up: CancellationToken,
    /// Requests whose answers are not written yet.
    requests: Arc<watch::Sender<HashSet<RequestId>>>,
    begun: bool,
    deadline: Option<Instant>,
}

impl<T: Transport<RoleServer>> Session<T> {
    fn new(inner: T, stopping: &CancellationToken, give_up: &CancellationToken) -> Self {
        let requests = Arc::new(watch::Sender::new(HashSet::new()));
        let (stopping, give_up) = (stopping.clone(), give_up.clone());
        Self { inner, stopping, give_up, requests, begun: false, deadline: None }
    }

    async fn accept(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
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
    fn admit(&mut self, message: &RxJsonRpcMessage<RoleServer>) -> bool {
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
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let answered = match &item {
            JsonRpcMessage::Response(response) => Some(response.id.clone()),
            JsonRpcMessage::Error(error) => error.id.clone(),
            _ => None,
        };
        let sending = self.inner.send(item);
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
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let deadline = match self.deadline {
            Some(deadline) => deadline,
            None => {
                let stopping = self.stopping.clone();
                if let Some(Some(message)) = stopping.run_until_cancelled(self.accept()).await {
                    return Some(message);
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
