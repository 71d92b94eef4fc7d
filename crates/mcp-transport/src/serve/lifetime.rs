//! How a server ends, and what must have ended before it has.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Time for what is cut to be gone. Only a call that blocks its thread takes longer, and nothing can end that.
const CUT: Duration = Duration::from_secs(10);

/// The life of one server. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Lifetime {
    /// No new requests, and the end of the streams that would otherwise never end.
    pub(crate) stopping: CancellationToken,
    /// No more waiting for those in flight.
    pub(crate) cut: CancellationToken,
    /// Sessions and calls that are not over.
    pub(crate) open: TaskTracker,
}

impl Lifetime {
    /// Waits until everything has ended; what has not within `grace` is cut.
    pub(crate) async fn end(&self, grace: Duration) {
        self.stopping.cancel();
        self.open.close();
        if timeout(grace, self.open.wait()).await.is_err() {
            tracing::warn!(open = self.open.len(), "what is left is cut: the grace period is over");
        }
        self.cut.cancel();
        if timeout(CUT, self.open.wait()).await.is_err() {
            tracing::error!(open = self.open.len(), "calls that block their threads are left behind");
        }
    }
}
