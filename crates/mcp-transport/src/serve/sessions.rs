//! Sessions of the older era over Streamable HTTP: how many there are, whose they are, and when nobody needs them any more.

use std::{
    collections::HashMap,
    future::ready,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use auth::Caller;
use futures_util::{Stream, StreamExt as _, stream};
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
use tokio::{
    sync::Semaphore,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{
    lifetime::Lifetime,
    mount::Mount,
    session::{InputEnd, Session, Terms},
};

/// How long a client should wait before it listens again.
const RETRY: Duration = Duration::from_secs(3);
/// How long the head of a response waits for its first message. Most come at once, and one write costs less than two.
const QUICK: Duration = Duration::from_millis(20);
/// The event before the first one. rmcp reads this as 0, from where it resumes, and yet it is no message's own name.
const BEFORE_FIRST: &str = "00";

/// The sessions of one server. rmcp runs each; this knows which exist, and ends those that are idle.
pub(crate) struct Sessions {
    inner: LocalSessionManager,
    known: Register,
    places: Arc<Semaphore>,
    idle: Duration,
    grace: Duration,
    lifetime: Lifetime,
}

type Register = Arc<Mutex<HashMap<SessionId, Known>>>;

struct Known {
    owner: Caller,
    /// Responses that the client is reading.
    streams: usize,
    used: Instant,
    /// Whether the client knows events without a message, which name a place to resume at.
    primes: bool,
}

/// An entry of the register, for as long as the session lives.
struct Entry {
    known: Register,
    id: SessionId,
}

/// Why rmcp could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionsError {
    #[error("no request asks for this session")]
    NotAsked,
    #[error("there are too many sessions")]
    TooMany,
    #[error(transparent)]
    Local(#[from] LocalSessionManagerError),
}

tokio::task_local! {
    static OPENING: Opening;
}

/// What a request and the session that it may open say to each other past rmcp.
#[derive(Clone)]
pub(crate) struct Opening {
    caller: Caller,
    no_place: Arc<AtomicBool>,
}

impl Opening {
    /// Answers a request of this caller.
    pub(crate) async fn scope<T>(caller: Caller, answering: impl Future<Output = T>) -> (T, Self) {
        let opening = Self { caller, no_place: Arc::default() };
        (OPENING.scope(opening.clone(), answering).await, opening)
    }

    /// Whether it wanted a session that there is no place for.
    pub(crate) fn found_no_place(&self) -> bool {
        self.no_place.load(Ordering::Relaxed)
    }
}

impl Sessions {
    pub(crate) fn new<H>(mount: &Mount<H>, idle: Duration) -> Self {
        let mut inner = LocalSessionManager::default();
        // rmcp counts a session as idle while a call runs quietly, and while a client listens. So it is counted here.
        inner.session_config.keep_alive = None;
        Self {
            inner,
            known: Arc::default(),
            places: mount.places.clone(),
            idle,
            grace: mount.timing.grace,
            lifetime: mount.lifetime.clone(),
        }
    }

    pub(crate) fn is_known(&self, id: &str) -> bool {
        lock(&self.known).contains_key(id)
    }

    /// Whether `id` is somebody else's.
    pub(crate) fn is_foreign(&self, id: &str, caller: Caller) -> bool {
        lock(&self.known).get(id).is_some_and(|known| known.owner != caller)
    }

    /// Closes sessions as they become idle; runs until it is dropped.
    pub(crate) async fn close_idle(&self) {
        let mut ticks = interval((self.idle / 4).clamp(Duration::from_millis(10), Duration::from_secs(30)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            let is_idle = |known: &Known| known.streams == 0 && now.duration_since(known.used) >= self.idle;
            // Nobody can begin to use one that is off the register.
            let idle: Vec<_> =
                lock(&self.known).extract_if(|_, known| is_idle(known)).map(|(id, _)| id).collect();
            if !idle.is_empty() {
                tracing::debug!(count = idle.len(), "idle sessions are closed");
            }
            let closing = stream::iter(idle).for_each_concurrent(None, async |id| {
                let _ = self.inner.close_session(&id).await; // it may have ended by itself
            });
            closing.await;
        }
    }

    /// Notes that a session is in use.
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
    known: Register,
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

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.known).remove(&self.id);
    }
}

impl SessionManager for Sessions {
    type Error = SessionsError;
    type Transport = Session<<LocalSessionManager as SessionManager>::Transport>;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), SessionsError> {
        let opening = OPENING.try_with(Clone::clone).map_err(|_| SessionsError::NotAsked)?;
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            opening.no_place.store(true, Ordering::Relaxed);
            return Err(SessionsError::TooMany);
        };
        let (id, transport) = self.inner.create_session().await?;
        let known = Known { owner: opening.caller, streams: 0, used: Instant::now(), primes: false };
        lock(&self.known).insert(id.clone(), known);
        let entry = Entry { known: self.known.clone(), id: id.clone() };
        let terms = Terms {
            end: InputEnd::Gone,
            grace: self.grace,
            lifetime: self.lifetime.clone(),
            holds: Box::new((entry, place)),
        };
        Ok((id, Session::new(transport, terms)))
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
        self.touch(id);
        let mut stream = Box::pin(self.inner.create_stream(id, message).await?);
        let mut first = Vec::new();
        let answer = async {
            while let Some(event) = stream.next().await {
                let is_message = event.message.is_some();
                first.push(event);
                if is_message {
                    break;
                }
            }
        };
        let _ = timeout(QUICK, answer).await; // the rest comes as it comes
        Ok(self.reading(id, stream::iter(first).chain(stream)))
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
        let priming = stream::once(ready(ServerSseMessage::priming(BEFORE_FIRST, RETRY)));
        let stream = priming.chain(stream).take_until(self.lifetime.stopping.clone().cancelled_owned());
        Ok(self.reading(id, stream))
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionsError> {
        let stream = self.inner.resume(id, last_event_id.clone()).await?;
        // rmcp begins with the event that the client had last.
        let stream = stream.filter(move |event| ready(event.event_id.as_ref() != Some(&last_event_id)));
        Ok(self.reading(id, stream))
    }
}

/// Nothing panics while this lock is held, so what it guards is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
