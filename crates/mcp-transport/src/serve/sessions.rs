//! Sessions of the older era over Streamable HTTP: how many there are, whose they are, and when nobody needs them any more.

use std::{
    collections::HashMap,
    future::ready,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream::once};
use rmcp::{
    model::{ClientJsonRpcMessage, JsonRpcMessage, ProtocolVersion, ServerJsonRpcMessage, ServerResult},
    transport::{
        common::server_side_http::{ServerSseMessage, SessionId},
        streamable_http_server::{
            SessionManager,
            session::local::{LocalSessionManager, LocalSessionManagerError},
        },
    },
};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::access::Credentials;

/// How long a client should wait before it listens again.
const RETRY: Duration = Duration::from_secs(3);

/// The sessions of one server. rmcp runs each; this knows which exist, and ends those that are idle.
pub(crate) struct Sessions {
    inner: LocalSessionManager,
    known: Arc<Mutex<HashMap<SessionId, Known>>>,
    max: usize,
    idle: Duration,
    stopping: CancellationToken,
}

struct Known {
    /// Whose it is, once its first answer has left.
    owner: Option<Credentials>,
    /// Responses that the client is reading.
    streams: usize,
    used: Instant,
    /// Whether the client knows events without a message, which name a place to resume at.
    primes: bool,
}

/// Why rmcp could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionsError {
    #[error("there are too many sessions")]
    TooMany,
    #[error(transparent)]
    Local(#[from] LocalSessionManagerError),
}

impl Sessions {
    pub(crate) fn new(max: usize, idle: Duration, stopping: CancellationToken) -> Self {
        let mut inner = LocalSessionManager::default();
        // rmcp counts a session as idle while a call runs quietly, and while a client listens. So it is counted here.
        inner.session_config.keep_alive = None;
        Self { inner, known: Arc::default(), max, idle, stopping }
    }

    /// Whether one more session may begin.
    pub(crate) fn has_room(&self) -> bool {
        lock(&self.known).len() < self.max
    }

    /// Gives a new session to the caller that began it.
    pub(crate) fn belongs(&self, id: &str, owner: Credentials) {
        if let Some(known) = lock(&self.known).get_mut(id) {
            known.owner = Some(owner);
        }
    }

    /// Whether `id` is somebody else's.
    pub(crate) fn is_foreign(&self, id: &str, caller: &Credentials) -> bool {
        lock(&self.known).get(id).is_some_and(|known| known.owner.as_ref() != Some(caller))
    }

    /// Closes sessions as they become idle; runs until it is dropped.
    pub(crate) async fn close_idle(&self) {
        let mut ticks = interval((self.idle / 4).clamp(Duration::from_millis(10), Duration::from_secs(30)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            let is_idle = |known: &Known| known.streams == 0 && now.duration_since(known.used) >= self.idle;
            let idle: Vec<_> = lock(&self.known)
                .iter()
                .filter(|(_, known)| is_idle(known))
                .map(|(id, _)| id.clone())
                .collect();
            for id in idle {
                tracing::debug!("an idle session is closed");
                let _ = self.close_session(&id).await; // it may have ended by itself
            }
        }
    }

    /// Notes that a session is in use. `None` when there is no such session.
    fn touch(&self, id: &SessionId) {
        if let Some(known) = lock(&self.known).get_mut(id) {
            known.used = Instant::now();
        }
    }

    /// A response that counts as use of its session. Clients of before 2025-11-25 take an event without a message for a
    /// broken one, so they get none.
    fn reading<S>(
        &self,
        id: &SessionId,
        stream: S,
    ) -> Reading<impl Stream<Item = ServerSseMessage> + Send + Sync + use<S>>
    where
        S: Stream<Item = ServerSseMessage> + Send + Sync + 'static,
    {
        let mut primes = false;
        if let Some(known) = lock(&self.known).get_mut(id) {
            known.streams += 1;
            known.used = Instant::now();
            primes = known.primes;
        }
        let stream = stream.filter(move |event| ready(primes || event.message.is_some()));
        Reading { stream: Box::pin(stream), known: self.known.clone(), id: id.clone() }
    }
}

/// A response that a client is reading.
struct Reading<S> {
    stream: Pin<Box<S>>,
    known: Arc<Mutex<HashMap<SessionId, Known>>>,
    id: SessionId,
}

impl<S: Stream> Stream for Reading<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.stream.poll_next_unpin(context)
    }
}

impl<S> Drop for Reading<S> {
    fn drop(&mut self) {
        if let Some(known) = lock(&self.known).get_mut(&self.id) {
            known.streams -= 1;
            known.used = Instant::now();
        }
    }
}

impl SessionManager for Sessions {
    type Error = SessionsError;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), SessionsError> {
        if !self.has_room() {
            return Err(SessionsError::TooMany);
        }
        let (id, transport) = self.inner.create_session().await?;
        let known = Known { owner: None, streams: 0, used: Instant::now(), primes: false };
        lock(&self.known).insert(id.clone(), known);
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, SessionsError> {
        let answer = self.inner.initialize_session(id, message).await?;
        if let JsonRpcMessage::Response(response) = &answer
            && let ServerResult::InitializeResult(result) = &response.result
            && let Some(known) = lock(&self.known).get_mut(id)
        {
            known.primes = result.protocol_version >= ProtocolVersion::V_2025_11_25;
        }
        Ok(answer)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, SessionsError> {
        Ok(self.inner.has_session(id).await?)
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), SessionsError> {
        lock(&self.known).remove(id);
        Ok(self.inner.close_session(id).await?)
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionsError> {
        Ok(self.reading(id, self.inner.create_stream(id, message).await?))
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<(), SessionsError> {
        self.touch(id);
        Ok(self.inner.accept_message(id, message).await?)
    }

    /// The stream on which a client listens ends with the server.
    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionsError> {
        let stream = self.inner.create_standalone_stream(id).await?;
        let stream = once(ready(ServerSseMessage::priming("0", RETRY))).chain(stream);
        let stream = stream.take_until(self.stopping.clone().cancelled_owned());
        Ok(self.reading(id, stream))
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionsError> {
        let stream = self.inner.resume(id, last_event_id).await?;
        let stream = stream.take_until(self.stopping.clone().cancelled_owned());
        Ok(self.reading(id, stream))
    }
}

/// Nothing panics while this lock is held, so what it guards is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
