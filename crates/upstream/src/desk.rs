//! What an upstream keeps over all its connections: its host, its lists, and what is wanted of it.

use std::sync::Arc;

use rmcp::model::{ServerCapabilities, ServerNotification};
use tokio::sync::watch;

use crate::{
    Host, Notice,
    lists::Lists,
    wishes::{Log, Wishes},
};

/// What an upstream keeps over all its connections.
pub(crate) struct Desk {
    pub(crate) name: String,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) lists: Lists,
    pub(crate) wishes: watch::Sender<Wishes>,
}

impl Desk {
    pub(crate) fn new(name: String, host: Arc<dyn Host>) -> Self {
        Self { name, host, lists: Lists::default(), wishes: watch::Sender::default() }
    }

    pub(crate) fn tell(&self, notice: Notice) {
        self.host.notice(&self.name, notice);
    }

    /// The server tells something that concerns no call.
    pub(crate) fn heard(&self, notification: &ServerNotification) {
        match notification {
            ServerNotification::ToolListChangedNotification(_) => self.tools_changed(),
            ServerNotification::PromptListChangedNotification(_) => self.prompts_changed(),
            ServerNotification::ResourceListChangedNotification(_) => self.resources_changed(),
            ServerNotification::ResourceUpdatedNotification(update) => {
                self.tell(Notice::ResourceUpdated(update.params.uri.clone()));
            }
            ServerNotification::LoggingMessageNotification(line) if self.wishes.borrow().log != Log::Off => {
                self.tell(Notice::Log(line.params.clone()));
            }
            _ => {}
        }
    }

    /// Whatever was listed may be something else by now.
    pub(crate) fn all_changed(&self, capabilities: &ServerCapabilities) {
        self.lists.clear();
        for (offered, notice) in [
            (capabilities.tools.is_some(), Notice::ToolsChanged),
            (capabilities.prompts.is_some(), Notice::PromptsChanged),
            (capabilities.resources.is_some(), Notice::ResourcesChanged),
        ] {
            if offered {
                self.tell(notice);
            }
        }
    }

    fn tools_changed(&self) {
        self.lists.tools.clear();
        self.tell(Notice::ToolsChanged);
    }

    fn prompts_changed(&self) {
        self.lists.prompts.clear();
        self.tell(Notice::PromptsChanged);
    }

    fn resources_changed(&self) {
        self.lists.resources.clear();
        self.lists.templates.clear();
        self.tell(Notice::ResourcesChanged);
    }
}
