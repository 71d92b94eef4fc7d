//! What the network transports of one server share.

use std::sync::Arc;

use rmcp::{RoleServer, ServerHandler, transport::Transport};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    body::BUDGET_KIB,
    guard::{Guard, House},
    lifetime::Lifetime,
    session::{InputEnd, SessionError, Terms, serve_session},
    timing::Timing,
};
use crate::NetworkSettings;

/// A handler in the making for every session, and the bounds of all sessions.
pub(crate) struct Mount<H> {
    make: Box<dyn Fn() -> H + Send + Sync>,
    house: Arc<House>,
    pub(crate) max_message: usize,
    /// Places for sessions, whatever their transport.
    pub(crate) places: Arc<Semaphore>,
    /// What bodies may take of the memory.
    pub(crate) bodies: Arc<Semaphore>,
    pub(crate) lifetime: Lifetime,
    pub(crate) timing: Timing,
}

impl<H: ServerHandler> Mount<H> {
    pub(crate) fn new(
        make: impl Fn() -> H + Send + Sync + 'static,
        settings: &NetworkSettings,
        timing: Timing,
    ) -> Self {
        let lifetime = Lifetime::default();
        Self {
            house: House::new(&make().get_info(), lifetime.clone()),
            make: Box::new(make),
            max_message: settings.max_message(),
            places: Arc::new(Semaphore::new(settings.mcp_max_sessions as usize)),
            bodies: Arc::new(Semaphore::new(BUDGET_KIB)),
            lifetime,
            timing,
        }
    }

    /// The handler of a new session, or of a request that belongs to none.
    pub(crate) fn handler(&self) -> Guard<H> {
        self.house.guard((self.make)())
    }

    /// A place for a session, if there is one.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// Serves a session that has a connection of its own, for as long as that is open.
    pub(crate) async fn serve<T>(&self, transport: T, place: OwnedSemaphorePermit)
    where
        T: Transport<RoleServer, Error: std::error::Error + Send + Sync + 'static> + 'static,
    {
        let terms = Terms {
            end: InputEnd::Gone,
            grace: self.timing.grace,
            lifetime: self.lifetime.clone(),
            holds: Box::new(place),
        };
        if let Err(cause) = serve_session(self.handler(), transport, terms).await {
            // A client's mistake, of which it has been told.
            let error: &SessionError = &cause;
            tracing::debug!(error = error as &dyn std::error::Error, "a session ended badly");
        }
    }
}
