//! One connection to a server, from the handshake to its end.

use std::{sync::Arc, time::Duration};

use mcp_transport::{Address, Client, ConnectError, FailedRequest, NetworkTransport, Reached, is_unreadable};
use rmcp::{
    model::RequestMetaObject,
    service::{Peer, PeerRequestOptions, RequestHandle, RoleClient, ServiceError},
    transport::DynamicTransportError,
};
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{CallError, Introduction, desk::Desk, handler::Handler, listening::Agreed};

/// How long telling a server to stop may take.
const LAST_WORD: Duration = Duration::from_secs(1);
/// How long calls may go on over the pipes of a child that is replaced.
const FAREWELL: Duration = Duration::from_secs(60);

/// One connection to a server.
pub(crate) struct Session {
    client: Client<Arc<Handler>>,
    address: Address,
    desk: Arc<Desk>,
    pub(crate) handler: Arc<Handler>,
    pub(crate) introduction: Arc<Introduction>,
    pub(crate) began: Instant,
    /// In the newer era, what it was asked to tell of.
    pub(crate) agreed: watch::Sender<Option<Agreed>>,
    /// A call found that nobody is there any more: why.
    unreachable: watch::Sender<Option<Arc<ConnectError>>>,
    calls: TaskTracker,
    /// Tells the server to stop what nobody waits for.
    last_words: TaskTracker,
    runtime: Handle,
}

impl Session {
    pub(crate) fn new(
        client: Client<Arc<Handler>>,
        handler: Arc<Handler>,
        desk: Arc<Desk>,
        address: Address,
    ) -> Self {
        let told = client.peer().peer_info();
        let introduction = Arc::new(Introduction {
            protocol_version: client.protocol_version(),
            server: told.as_ref().and_then(|told| told.server_info.clone()),
            capabilities: told.as_ref().map(|told| told.capabilities.clone()).unwrap_or_default(),
            instructions: told.as_ref().and_then(|told| told.instructions.clone()),
        });
        Self {
            client,
            address,
            desk,
            handler,
            introduction,
            began: Instant::now(),
            agreed: watch::Sender::default(),
            unreachable: watch::Sender::default(),
            calls: TaskTracker::new(),
            last_words: TaskTracker::new(),
            runtime: Handle::current(),
        }
    }

    pub(crate) fn peer(&self) -> &Peer<RoleClient> {
        self.client.peer()
    }

    pub(crate) fn is_modern(&self) -> bool {
        self.introduction.is_modern()
    }

    /// Whether its requests know nothing of each other: that one broke says nothing of the others.
    fn is_stateless(&self) -> bool {
        self.is_modern() && self.address.transport() == Some(NetworkTransport::Http)
    }

    /// Whether calls can be made with it.
    pub(crate) fn is_live(&self) -> bool {
        !self.client.is_ended() && self.unreachable.borrow().is_none()
    }

    /// Waits for the connection's end, and says why.
    pub(crate) async fn ended(&self) -> Arc<ConnectError> {
        let mut unreachable = self.unreachable.subscribe();
        tokio::select! {
            () = self.client.ended() => self.reason(),
            reason = unreachable.wait_for(Option::is_some) => match reason.ok().and_then(|reason| reason.clone()) {
                Some(reason) => reason,
                None => self.reason(),
            }
        }
    }

    fn reason(&self) -> Arc<ConnectError> {
        Arc::new(self.client.why_ended())
    }

    /// Closes it when the calls that are under way have ended, or when `stop` says so. It may be that only a session has ended
    /// and not the connection: then they still get their answers, within their own limits. Over a child's pipes they do not.
    pub(crate) async fn retire(&self, stop: &CancellationToken) {
        self.handler.end.cancel();
        self.calls.close();
        let over_network = self.address.server_url().is_some();
        let farewell = if over_network { Duration::MAX } else { FAREWELL };
        let _ = stop.run_until_cancelled(timeout(farewell, self.calls.wait())).await; // those that are left fail
        self.close().await;
    }

    /// Closes it and waits until all is gone.
    pub(crate) async fn close(&self) {
        self.handler.end.cancel();
        self.last_words.close();
        if !self.client.is_ended() {
            self.last_words.wait().await;
        }
        self.client.close().await;
    }

    /// A call is under way until what this returns is dropped.
    pub(crate) fn in_use(&self) -> tokio_util::task::task_tracker::TaskTrackerToken {
        self.calls.token()
    }

    /// What goes with every request.
    pub(crate) fn request_options(&self) -> PeerRequestOptions {
        let mut meta = RequestMetaObject::new();
        if self.is_modern()
            && let Some(level) = self.desk.wishes.borrow().log.told()
        {
            meta.set_log_level(level);
        }
        PeerRequestOptions::no_options().with_meta(meta)
    }

    /// Tells the server that nobody waits for this any more.
    pub(crate) fn give_up(&self, request: RequestHandle<RoleClient>, reason: &'static str) {
        self.say(async move {
            let _ = request.cancel(Some(reason.to_owned())).await; // it may be gone
        });
    }

    /// Tells the server something that nobody waits for.
    pub(crate) fn say(&self, last_word: impl Future<Output = ()> + Send + 'static) {
        let said = async {
            let _ = timeout(LAST_WORD, last_word).await; // it may not listen
        };
        self.last_words.spawn_on(said, &self.runtime);
    }

    /// What the failure of a request means.
    pub(crate) fn failure(&self, error: ServiceError) -> CallError {
        match error {
            ServiceError::McpError(error) if is_unreadable(&error) => {
                CallError::Protocol(error.message.into_owned())
            }
            ServiceError::McpError(error) => CallError::Refused(error),
            ServiceError::TransportSend(error) => self.not_sent(error),
            ServiceError::UnexpectedResponse => {
                CallError::Protocol("it is the answer to something else".to_owned())
            }
            _ => self.lost(),
        }
    }

    pub(crate) fn lost(&self) -> CallError {
        let ended = self.client.is_ended().then(|| self.client.why_ended());
        let reason = match ended {
            Some(ConnectError::Lost { reason, .. }) => reason,
            _ => None,
        };
        CallError::Lost { reason, stderr: self.client.last_lines() }
    }

    fn not_sent(&self, error: DynamicTransportError) -> CallError {
        let FailedRequest { error, reached } = FailedRequest::new(&self.address, error);
        if let ConnectError::NeedsCredentials { .. } = error {
            return CallError::NeedsCredentials(error.to_string());
        }
        if reached == Reached::Somebody {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            return CallError::Protocol(cause.unwrap_or_else(|| error.to_string()));
        }
        if reached == Reached::Perhaps && self.is_stateless() {
            return self.lost();
        }
        let error = Arc::new(error);
        self.unreachable.send_replace(Some(error.clone()));
        if reached == Reached::Nobody { CallError::Connect(error) } else { self.lost() }
    }
}
