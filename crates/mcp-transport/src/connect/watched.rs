//! A transport under watch: its end is noticed, and a server that does not answer the question for its era is taken for one
//! of the older era in time.

use std::{
    future::pending,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rmcp::{
    RoleClient,
    model::{ClientJsonRpcMessage, ClientRequest, ErrorCode, ErrorData, RequestId, ServerJsonRpcMessage},
    transport::Transport,
};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::options::Listener;

/// rmcp gives up on the answer after 10 seconds by itself, and then takes a late one for a fault.
const LONGEST_PROBE: Duration = Duration::from_secs(9);

/// When a connection ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct End {
    /// The server hung up, or we did.
    pub(crate) begun: CancellationToken,
    /// Over Streamable HTTP in the older era: the server can ask and tell from now on, or does not want to.
    pub(crate) heard: CancellationToken,
    /// Everything that belonged to the connection is gone, a child process too.
    pub(crate) over: CancellationToken,
    /// Why, if it was the server's fault.
    pub(crate) reason: Arc<OnceLock<String>>,
}

/// A transport that may know why it has ended.
pub(crate) trait Ending {
    /// What the server did.
    fn reason(&self) -> Option<String> {
        None
    }
}

/// A transport whose end is told to others.
pub(crate) struct Watched<T> {
    inner: T,
    end: End,
    /// How long the server may take for `server/discover`, if that is how the handshake starts.
    patience: Option<Duration>,
    probe: Probe,
    listener: Option<Listener>,
    _over: DropGuard,
}

enum Probe {
    /// No question is open.
    None,
    Open(RequestId, Instant),
    /// Nobody waits for the answer any more.
    Late(RequestId),
}

impl<T> Watched<T> {
    /// With a `fallback`, half of the time for the handshake is left for the older era.
    pub(crate) fn new(inner: T, end: &End, fallback: Option<Duration>) -> Self {
        let over = end.over.clone().drop_guard();
        let patience = fallback.map(|timeout| (timeout / 2).min(LONGEST_PROBE));
        Self { inner, end: end.clone(), patience, probe: Probe::None, listener: None, _over: over }
    }

    /// The same, with somebody who hears what the server tells.
    pub(crate) fn heard_by(self, listener: Option<Listener>) -> Self {
        Self { listener, ..self }
    }

    /// What rmcp should see of a message.
    fn pass(&mut self, message: ServerJsonRpcMessage) -> Option<ServerJsonRpcMessage> {
        let id = match &message {
            ServerJsonRpcMessage::Response(response) => Some(&response.id),
            ServerJsonRpcMessage::Error(error) => error.id.as_ref(),
            _ => None,
        };
        match &self.probe {
            Probe::Open(asked, _) if id == Some(asked) => self.probe = Probe::None,
            Probe::Late(asked) if id == Some(asked) => {
                self.probe = Probe::None;
                return None;
            }
            _ => {}
        }
        Some(message)
    }

    /// The answer that a server of the older era should have given.
    fn give_up(&mut self) -> Option<ServerJsonRpcMessage> {
        let Probe::Open(id, _) = std::mem::replace(&mut self.probe, Probe::None) else { return None };
        self.probe = Probe::Late(id.clone());
        tracing::debug!("server/discover was not answered: this may be a server of the older era");
        let error = ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "server/discover was not answered", None);
        Some(ServerJsonRpcMessage::error(error, Some(id)))
    }

    fn probe_ends(&self) -> impl Future<Output = ()> + Send + use<T> {
        let deadline = match &self.probe {
            Probe::Open(_, deadline) => Some(*deadline),
            _ => None,
        };
        async move {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => pending().await,
            }
        }
    }
}

impl<T: Transport<RoleClient> + Ending> Transport<RoleClient> for Watched<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), T::Error>> + Send + 'static {
        if let Some(patience) = self.patience.take() // with the first message
            && let ClientJsonRpcMessage::Request(request) = &message
            && matches!(request.request, ClientRequest::DiscoverRequest(_))
        {
            self.probe = Probe::Open(request.id.clone(), Instant::now() + patience);
        }
        self.inner.send(message)
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let probe_ends = self.probe_ends();
            let message = tokio::select! {
                message = self.inner.receive() => message,
                () = probe_ends => match self.give_up() {
                    Some(answer) => return Some(answer),
                    None => continue,
                },
            };
            let Some(message) = message else {
                if let Some(reason) = self.inner.reason() {
                    let _ = self.end.reason.set(reason); // there is one already
                }
                self.end.begun.cancel();
                return None;
            };
            if let Some(message) = self.pass(message) {
                if let (Some(listener), ServerJsonRpcMessage::Notification(told)) = (&self.listener, &message)
                {
                    listener(&told.notification);
                }
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> Result<(), T::Error> {
        self.end.begun.cancel();
        self.inner.close().await
    }
}
