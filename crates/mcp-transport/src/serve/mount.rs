//! What the network transports of one server share.

use std::sync::Arc;

use rmcp::ServerHandler;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::guard::{Guard, House};
use crate::NetworkSettings;

/// A handler in the making for every session, and the bounds of all sessions.
pub(crate) struct Mount<H> {
    make: Box<dyn Fn() -> H + Send + Sync>,
    house: Arc<House>,
    pub(crate) max_message: usize,
    /// Places for sessions that have a connection of their own.
    places: Arc<Semaphore>,
    /// Sessions that have a connection of their own.
    pub(crate) tasks: TaskTracker,
    /// No new requests.
    pub(crate) stopping: CancellationToken,
    /// No more waiting for those in flight.
    pub(crate) cut: CancellationToken,
}

impl<H: ServerHandler> Mount<H> {
    pub(crate) fn new(make: impl Fn() -> H + Send + Sync + 'static, settings: &NetworkSettings) -> Self {
        let stopping = CancellationToken::new();
        Self {
            house: House::new(&make().get_info(), stopping.clone()),
            make: Box::new(make),
            max_message: settings.max_message(),
            places: Arc::new(Semaphore::new(settings.mcp_max_sessions as usize)),
            tasks: TaskTracker::new(),
            stopping,
            cut: CancellationToken::new(),
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
}
