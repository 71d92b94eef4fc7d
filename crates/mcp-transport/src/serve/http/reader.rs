//! Who reads a response.

use std::{
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{super::routes::Place, client::Client, lane::Lane};

/// One reader of a response; dropping it says that it has gone.
pub(super) struct Reader {
    pub(super) lane: Arc<Lane>,
    number: u64,
    /// Whose session it is. Without one nobody can come back, and nothing that is told later would be read.
    pub(super) client: Option<Arc<Client>>,
}

impl Reader {
    /// The reader that has joined under this number.
    pub(super) fn new(lane: Arc<Lane>, number: u64, client: Option<Arc<Client>>) -> Self {
        Self { lane, number, client }
    }

    /// The reader of a response that nobody can come back to.
    pub(super) fn alone() -> Self {
        let lane = Lane::new(Place::Response(0), Weak::new());
        lane.join(0);
        Self::new(lane, 0, None)
    }

    pub(super) fn poll_unread(&self, context: &Context<'_>) -> Poll<()> {
        self.lane.poll_unread(self.number, context)
    }

    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<Option<(usize, Bytes)>> {
        self.lane.poll(self.number, context)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.lane.leave(self.number);
        match &self.client {
            Some(client) => client.left(&self.lane),
            None => self.lane.cancel(),
        }
    }
}
