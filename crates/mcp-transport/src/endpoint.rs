//! What answers raw messages: for programs that pass messages on and must not lose what rmcp does not know.

use std::sync::Arc;

use async_trait::async_trait;
use auth::Caller;
use json_rpc::{Id, Notification, Outcome, Raw, Request};

use crate::TransportKind;

/// Answers the messages of clients as they came.
///
/// The transport reads and writes messages, keeps the bounds, opens and ends sessions, checks the headers of HTTP, and
/// cancels. It answers nothing by itself but what is no message, and what breaks the rules of the transport.
pub trait Endpoint: Send + Sync + 'static {
    /// What is known of one client. It is dropped when the client has left for good.
    type Session: Send + Sync + 'static;

    /// A client has come. Over HTTP in the newer era each request is a client of its own.
    fn open(&self, arrival: Arrival) -> Self::Session;

    /// Answers one request; `link` leads to whoever made it. Requests of a session run side by side. A request that is
    /// cancelled, or whose client left for good, is dropped.
    fn answer(
        &self,
        session: Arc<Self::Session>,
        request: Request,
        link: Link,
    ) -> impl Future<Output = Outcome> + Send;

    /// Hears a notification, in the order in which they came; must not block. `notifications/cancelled` about a request that
    /// is running does not come here.
    fn hear(&self, session: &Arc<Self::Session>, notification: Notification);

    /// The arguments of this tool that a request over HTTP in the newer era repeats in headers, as its `x-mcp-header` says.
    fn mirrored(&self, session: &Arc<Self::Session>, tool: &str) -> Vec<Mirrored>;
}

/// A client that has come.
#[derive(Debug)]
pub struct Arrival {
    /// Whose key it showed.
    pub caller: Caller,
    /// How it came.
    pub transport: TransportKind,
    /// Whether it is here for one request only.
    pub is_brief: bool,
    /// Leads to the client outside of any request, where that is possible: over HTTP to the stream on which it listens.
    pub link: Link,
}

/// An argument that a header repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrored {
    /// The header's name after `Mcp-Param-`.
    pub header: String,
    /// Where the argument is: the names that lead to it.
    pub path: Vec<String>,
}

/// The client has left, or cannot be told anything here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client has left")]
pub struct Gone;

/// Leads to a client: within one request of it, or outside of any.
#[derive(Clone)]
pub struct Link {
    outlet: Arc<dyn Outlet>,
    request: Option<Id>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("request", &self.request).finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(outlet: Arc<dyn Outlet>, request: Option<Id>) -> Self {
        Self { outlet, request }
    }

    /// The request that this leads to.
    #[must_use]
    pub fn request(&self) -> Option<&Id> {
        self.request.as_ref()
    }

    /// Tells the client something. Waits while it has too much to read.
    ///
    /// # Errors
    /// When it has left.
    pub async fn tell(&self, notification: Notification) -> Result<(), Gone> {
        self.outlet.tell(self.request.as_ref(), notification).await
    }

    /// Asks the client, as the older era allows. Dropping the future tells it that the answer is not wanted any more.
    ///
    /// # Errors
    /// When it has left, or cannot be asked.
    pub async fn ask(&self, method: &str, params: Option<Raw>) -> Result<Outcome, Gone> {
        self.outlet.ask(self.request.as_ref(), method, params).await
    }
}

/// A transport's way to one client.
#[async_trait]
pub(crate) trait Outlet: Send + Sync {
    /// Sends a notification that belongs to this request, or to none.
    async fn tell(&self, request: Option<&Id>, notification: Notification) -> Result<(), Gone>;

    /// Sends a request that belongs to this request, or to none, and waits for its response.
    async fn ask(&self, request: Option<&Id>, method: &str, params: Option<Raw>) -> Result<Outcome, Gone>;
}
