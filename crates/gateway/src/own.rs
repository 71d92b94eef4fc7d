//! Tools of the gateway itself: searching, batches, pipelines. Their calls of other tools go the way of every call.

mod batch;
mod pipelines;
pub(crate) mod search;
mod tools;

pub use batch::BatchSettings;
pub use search::Savings;
pub(crate) use tools::{Bounds, OwnTool, OwnTools, Within, wrong};

/// What stands for the upstream of the gateway's own tools: no upstream can have this name.
pub(crate) const GATEWAY: &str = "(gateway)";

/// The own tools that lists show when they show no others.
pub(crate) const SHOWN_IN_SEARCH: [&str; 2] = [search::FIND_TOOL, search::CALL_TOOL];
