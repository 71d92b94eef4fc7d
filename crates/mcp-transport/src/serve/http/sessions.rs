//! The sessions of the older era: which there are, whose they are, and when nobody needs them any more.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use auth::Caller;
use axum::http::{HeaderMap, StatusCode};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{MissedTickBehavior, interval},
};
use uuid::Uuid;

use super::{client::Client, mirror::sole, refusal::Refusal};

pub(super) const SESSION_ID: &str = "mcp-session-id";
/// Longest time between two looks for idle sessions. A timer that is always due before those of requests saves each of these a
/// system call: only one that is due next wakes the runtime when it is set.
const LOOK: Duration = Duration::from_secs(2);

/// The sessions of one server.
pub(super) struct Sessions<S>(Mutex<HashMap<Uuid, Known<S>>>);

/// A session, which ends when this is dropped.
pub(super) struct Known<S> {
    pub(super) owner: Caller,
    pub(super) client: Arc<Client>,
    pub(super) session: Arc<S>,
    pub(super) _place: OwnedSemaphorePermit,
}

/// The session that a request names.
pub(super) enum Named<S> {
    None,
    Unknown,
    Known(Found<S>),
}

/// A session that is there.
pub(super) struct Found<S> {
    pub(super) id: Uuid,
    pub(super) client: Arc<Client>,
    pub(super) session: Arc<S>,
}

impl<S> Sessions<S> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Keeps a session; returns its name.
    pub(super) fn keep(&self, known: Known<S>) -> Uuid {
        let id = Uuid::new_v4();
        self.known().insert(id, known);
        id
    }

    /// The session that these headers name, if it is this caller's.
    pub(super) fn named(&self, headers: &HeaderMap, caller: Caller) -> Result<Named<S>, Refusal> {
        let Some(id) = sole(headers, SESSION_ID, None)? else { return Ok(Named::None) };
        let Ok(id) = Uuid::try_parse(id) else { return Ok(Named::Unknown) };
        match self.known().get(&id) {
            None => Ok(Named::Unknown),
            Some(known) if known.owner != caller => {
                let why = "this session belongs to somebody else: send the key that opened it";
                Err(Refusal::new(StatusCode::FORBIDDEN, None, why))
            }
            Some(known) => {
                let (client, session) = (known.client.clone(), known.session.clone());
                Ok(Named::Known(Found { id, client, session }))
            }
        }
    }

    /// Ends a session.
    pub(super) fn close(&self, id: Uuid) {
        let closed = self.known().remove(&id);
        drop(closed); // not while the register is locked
    }

    /// Closes sessions as they become idle; runs until it is dropped.
    pub(super) async fn close_idle(&self, after: Duration) {
        let mut ticks = interval((after / 4).clamp(Duration::from_millis(10), LOOK));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            // Nobody can begin to use one that is off the register.
            let idle: Vec<_> = self.known().extract_if(|_, known| known.client.is_idle(now, after)).collect();
            if !idle.is_empty() {
                tracing::debug!(count = idle.len(), "idle sessions are closed");
            }
        }
    }

    /// Ends all sessions.
    pub(super) fn end(&self) {
        let all = std::mem::take(&mut *self.known());
        drop(all);
    }

    /// Nothing panics while this lock is held, so what it guards is whole.
    fn known(&self) -> MutexGuard<'_, HashMap<Uuid, Known<S>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Drop for Known<S> {
    fn drop(&mut self) {
        self.client.end();
    }
}
