//! What the network transports of one server share.

use std::sync::Arc;

use auth::Caller;
use json_rpc::Message;
use rmcp::{ServerHandler, model::ClientJsonRpcMessage};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    body::BUDGET_KIB,
    channel::Channel,
    decode::Heard,
    endpoints::converse,
    guard::{Guard, House},
    lifetime::Lifetime,
    session::{InputEnd, SessionError, Terms, serve_session},
    timing::Timing,
};
use crate::{Endpoint, NetworkSettings};

/// Who answers, and the bounds of all sessions.
pub(crate) struct Mount<A> {
    pub(crate) answers: A,
    pub(crate) max_message: usize,
    /// Places for sessions, whatever their transport.
    pub(crate) places: Arc<Semaphore>,
    /// What bodies may take of the memory.
    pub(crate) bodies: Arc<Semaphore>,
    pub(crate) lifetime: Lifetime,
    pub(crate) timing: Timing,
}

/// Who answers the clients of a server.
pub(crate) trait Answers: Sized + Send + Sync + 'static {
    type Message: Heard;

    /// Serves a session that has a connection of its own, for as long as that is open.
    fn serve(
        mount: &Mount<Self>,
        channel: Channel<Self::Message>,
        caller: Caller,
        place: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + Send;
}

/// Handlers of rmcp, made for every session.
pub(crate) struct Handlers<H> {
    make: Box<dyn Fn() -> H + Send + Sync>,
    house: Arc<House>,
}

impl<A> Mount<A> {
    fn of(answers: A, lifetime: Lifetime, settings: &NetworkSettings, timing: Timing) -> Self {
        Self {
            answers,
            max_message: settings.max_message(),
            places: Arc::new(Semaphore::new(settings.mcp_max_sessions as usize)),
            bodies: Arc::new(Semaphore::new(BUDGET_KIB)),
            lifetime,
            timing,
        }
    }

    /// A place for a session, if there is one.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }
}

impl<H: ServerHandler> Mount<Handlers<H>> {
    pub(crate) fn new(
        make: impl Fn() -> H + Send + Sync + 'static,
        settings: &NetworkSettings,
        timing: Timing,
    ) -> Self {
        let lifetime = Lifetime::default();
        let house = House::new(&make().get_info(), lifetime.clone());
        Self::of(Handlers { make: Box::new(make), house }, lifetime, settings, timing)
    }
}

impl<E: Endpoint> Mount<Arc<E>> {
    pub(crate) fn for_endpoint(endpoint: Arc<E>, settings: &NetworkSettings, timing: Timing) -> Self {
        Self::of(endpoint, Lifetime::default(), settings, timing)
    }
}

impl<H: ServerHandler> Handlers<H> {
    /// The handler of a new session, or of a request that belongs to none.
    pub(crate) fn handler(&self) -> Guard<H> {
        self.house.guard((self.make)())
    }
}

impl<H: ServerHandler> Answers for Handlers<H> {
    type Message = ClientJsonRpcMessage;

    async fn serve(
        mount: &Mount<Self>,
        channel: Channel<ClientJsonRpcMessage>,
        _: Caller, // each message says it
        place: OwnedSemaphorePermit,
    ) {
        let terms = Terms {
            end: InputEnd::Gone,
            grace: mount.timing.grace,
            lifetime: mount.lifetime.clone(),
            holds: Box::new(place),
        };
        if let Err(cause) = serve_session(mount.answers.handler(), channel, terms).await {
            // A client's mistake, of which it has been told.
            let error: &SessionError = &cause;
            tracing::debug!(error = error as &dyn std::error::Error, "a session ended badly");
        }
    }
}

impl<E: Endpoint> Answers for Arc<E> {
    type Message = Message;

    async fn serve(
        mount: &Mount<Self>,
        channel: Channel<Message>,
        caller: Caller,
        place: OwnedSemaphorePermit,
    ) {
        converse(&mount.answers, channel, caller, mount).await;
        drop(place);
    }
}
