//! What one upstream offers.

use std::time::Duration;

use json_rpc::Raw;

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Tools,
    Prompts,
    Resources,
    Templates,
}

/// What one upstream offers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Offer {
    /// Whether the upstream has told what it offers: one that was never reached has not.
    pub(crate) is_known: bool,
    /// `capabilities` as it introduced itself, an object.
    pub(crate) capabilities: Option<Raw>,
    /// Its `instructions`.
    pub(crate) instructions: Option<String>,
    pub(crate) tools: Listing,
    pub(crate) prompts: Listing,
    pub(crate) resources: Listing,
    pub(crate) templates: Listing,
}

/// One list of an upstream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    pub(crate) items: Vec<Item>,
    /// How long it may be kept, as a server of the newer era says.
    pub(crate) time_to_live: Option<Duration>,
    /// Whether it is for this client alone: `cacheScope` is `private`.
    pub(crate) is_private: bool,
}

/// A tool, prompt, resource or template as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its `name`; of a resource the `uri`, of a template the `uriTemplate`.
    pub(crate) key: String,
    /// The whole object.
    pub(crate) raw: Raw,
}

impl Offer {
    /// The list of this kind.
    pub(crate) fn listing(&self, kind: Kind) -> &Listing {
        match kind {
            Kind::Tools => &self.tools,
            Kind::Prompts => &self.prompts,
            Kind::Resources => &self.resources,
            Kind::Templates => &self.templates,
        }
    }
}
