//! `get_time`: the server's clock.

use jiff::Timestamp;
use rmcp::{tool, tool_router};

use super::Toolbox;
use crate::parameters::{NoArguments, Parameters};

#[tool_router(router = get_time_router, vis = "pub(super)")]
impl Toolbox {
    /// Get the current date and time of the server, in UTC as RFC 3339.
    #[tool(
        title = "Server time",
        annotations(title = "Server time", read_only_hint = true, open_world_hint = false)
    )]
    fn get_time(&self, Parameters(NoArguments {}): Parameters<NoArguments>) -> String {
        format!("Current server time: {:.3}", Timestamp::now())
    }
}
