//! Sessions of the older era over Streamable HTTP: which there are, whose they are, and when nobody needs them any more.

use std::{
    collections::HashMap,
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use auth::Caller;
use futures_util::{Stream, StreamExt as _, future::OptionFuture};
use rmcp::{
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::{
        common::server_side_http::{ServerSseMessage, SessionId},
        streamable_http_server::SessionManager,
    },
};
use tokio::{
    sync::Semaphore,
    task::yield_now,
    time::{MissedTickBehavior, interval},
};
use uuid::Uuid;

use super::{
    exchange::{Events, Exchange, Gone, SessionSide, exchange},
    lifetime::Lifetime,
    mount::Mount,
    session::{InputEnd, Session, Terms},
};

/// How often all other tasks are given a turn before the head of a response is written without its first message. Most messages
/// come by then, and one write costs less than two; a timer would cost as much as a write.
const TURNS: usize = 3;
/// Longest time between two looks for idle sessions. A timer that is always due before the keep-alive of an event stream (15
/// seconds in rmcp) saves each stream a system call: only one that is due next wakes the runtime when it is set.
const LOOK: Duration = Duration::from_secs(10);

/// The sessions of one server.
pub(crate) struct Sessions {
    known: Register,
    places: Arc<Semaphore>,
    idle: Duration,
    grace: Duration,
    lifetime: Lifetime,
}

type Register = Arc<Mutex<HashMap<SessionId, Known>>>;

struct Known {
    owner: Caller,
    exchange: Arc<Exchange>,
}

/// An entry of the register, for as long as the session lives.
struct Entry {
    known: Register,
    id: SessionId,
}

/// Why a session cannot do what rmcp wants of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionsError {
    #[error("no request asks for this session")]
    NotAsked,
    #[error("there are too many sessions")]
    TooMany,
    #[error(transparent)]
    Gone(#[from] Gone),
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
    pub(crate) fn new<A>(mount: &Mount<A>, idle: Duration) -> Self {
        Self {
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
        let mut ticks = interval((self.idle / 4).clamp(Duration::from_millis(10), LOOK));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            // Nobody can begin to use one that is off the register.
            let idle: Vec<_> =
                lock(&self.known).extract_if(|_, known| known.exchange.is_idle(now, self.idle)).collect();
            if !idle.is_empty() {
                tracing::debug!(count = idle.len(), "idle sessions are closed");
            }
            idle.iter().for_each(|(_, known)| known.exchange.hang_up());
        }
    }

    /// The stream on which a client listens ends with the server; a response ends with its answer.
    fn ending(&self, events: Events) -> impl Stream<Item = ServerSseMessage> + Send + Sync + use<> {
        let stopping = events.are_endless().then(|| self.lifetime.stopping.clone().cancelled_owned());
        let end = OptionFuture::from(stopping);
        events.take_until(async move {
            if end.await.is_none() {
                pending::<()>().await;
            }
        })
    }

    fn exchange(&self, id: &SessionId) -> Result<Arc<Exchange>, Gone> {
        lock(&self.known).get(id).map(|known| known.exchange.clone()).ok_or(Gone)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.known).remove(&self.id);
    }
}

impl SessionManager for Sessions {
    type Error = SessionsError;
    type Transport = Session<SessionSide>;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), SessionsError> {
        let opening = OPENING.try_with(Clone::clone).map_err(|_| SessionsError::NotAsked)?;
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            opening.no_place.store(true, Ordering::Relaxed);
            return Err(SessionsError::TooMany);
        };
        let id: SessionId = Uuid::new_v4().to_string().into();
        let (side, exchange) = exchange();
        lock(&self.known).insert(id.clone(), Known { owner: opening.caller, exchange });
        let entry = Entry { known: self.known.clone(), id: id.clone() };
        let terms = Terms {
            end: InputEnd::Gone,
            grace: self.grace,
            lifetime: self.lifetime.clone(),
            holds: Box::new((entry, place)),
        };
        Ok((id, Session::new(side, terms)))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, SessionsError> {
        Ok(self.exchange(id)?.handshake(message).await?)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, SessionsError> {
        Ok(self.is_known(id))
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), SessionsError> {
        let closed = lock(&self.known).remove(id);
        if let Some(known) = closed {
            known.exchange.hang_up();
        }
        Ok(())
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionsError> {
        let events = self.exchange(id)?.request(message).await?;
        for _ in 0..TURNS {
            if events.are_ready() {
                break;
            }
            yield_now().await;
        }
        Ok(events)
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<(), SessionsError> {
        Ok(self.exchange(id)?.accept(message).await?)
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionsError> {
        Ok(self.ending(self.exchange(id)?.listen()?))
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionsError> {
        Ok(self.ending(self.exchange(id)?.resume(&last_event_id)?))
    }
}

/// Nothing panics while this lock is held, so what it guards is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
