//! Who servers talk to during a one-shot command: the person at the terminal answers, and notices go to who listens.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use rmcp::model::{
    CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult, ErrorData,
    ListRootsResult,
};
use tokio::sync::mpsc;
use upstream::{Abilities, Host, Notice};

/// Notices that wait to be shown. More are dropped, and counted.
const MAX_WAITING: usize = 10_000;

/// What was heard of a server.
pub(crate) struct Heard {
    pub(crate) server: String,
    pub(crate) notice: Notice,
}

/// A host whose notices go elsewhere.
pub(crate) struct OneShotHost {
    person: Arc<dyn Host>,
    heard: Option<mpsc::Sender<Heard>>,
    dropped: Arc<AtomicU64>,
}

/// The other end of what is heard.
pub(crate) struct Ear {
    pub(crate) heard: mpsc::Receiver<Heard>,
    /// How many notices there was no room for.
    pub(crate) dropped: Arc<AtomicU64>,
}

impl OneShotHost {
    /// Hears nothing: nobody would see it.
    pub(crate) fn deaf(person: Arc<dyn Host>) -> Self {
        Self { person, heard: None, dropped: Arc::default() }
    }

    /// Passes on what it hears.
    pub(crate) fn listening(person: Arc<dyn Host>) -> (Self, Ear) {
        let (sender, heard) = mpsc::channel(MAX_WAITING);
        let dropped = Arc::<AtomicU64>::default();
        (Self { person, heard: Some(sender), dropped: dropped.clone() }, Ear { heard, dropped })
    }
}

#[async_trait]
impl Host for OneShotHost {
    fn abilities(&self) -> Abilities {
        self.person.abilities()
    }

    async fn elicit(&self, server: &str, request: ElicitRequestParams) -> Result<ElicitResult, ErrorData> {
        self.person.elicit(server, request).await
    }

    async fn sample(
        &self,
        server: &str,
        request: CreateMessageRequestParams,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.person.sample(server, request).await
    }

    async fn roots(&self, server: &str) -> Result<ListRootsResult, ErrorData> {
        self.person.roots(server).await
    }

    fn notice(&self, server: &str, notice: Notice) {
        if let Some(heard) = &self.heard
            && heard.try_send(Heard { server: server.to_owned(), notice }).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
