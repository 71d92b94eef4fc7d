//! The other direction: what servers ask of their users, and what they tell them.

use async_trait::async_trait;
use rmcp::model::{
    CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult, ErrorData,
    ListRootsResult, LoggingMessageNotificationParam,
};

use crate::Status;

/// What a host can do for servers; only this is declared to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Forms can be filled in.
    pub elicit_forms: bool,
    /// Links can be opened.
    pub elicit_urls: bool,
    /// A model can be asked.
    pub sampling: bool,
    /// There are folders to work in.
    pub roots: bool,
}

/// What a server tells without being asked.
#[derive(Debug, Clone)]
pub enum Notice {
    /// Its tools are other ones now.
    ToolsChanged,
    /// Its prompts are other ones now.
    PromptsChanged,
    /// Its resources are other ones now.
    ResourcesChanged,
    /// A resource that was subscribed to has changed: its URI.
    ResourceUpdated(String),
    /// A line of its log.
    Log(LoggingMessageNotificationParam),
    /// The connection changed.
    Status(Status),
}

/// Whoever uses servers: answers what they ask, hears what they tell. `server` is always the upstream's name.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// What this host can do.
    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    /// A form, or a link, for the user.
    async fn elicit(&self, server: &str, request: ElicitRequestParams) -> Result<ElicitResult, ErrorData>;

    /// A question for a model.
    async fn sample(
        &self,
        server: &str,
        request: CreateMessageRequestParams,
    ) -> Result<CreateMessageResult, ErrorData>;

    /// Folders to work in.
    async fn roots(&self, server: &str) -> Result<ListRootsResult, ErrorData>;

    /// Something that nobody asked for. It must not block.
    fn notice(&self, server: &str, notice: Notice);
}
