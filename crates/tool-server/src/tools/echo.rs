//! `echo`: the simplest tool there can be.

use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Toolbox;
use crate::parameters::Parameters;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EchoArguments {
    /// What to send back.
    message: String,
}

#[tool_router(router = echo_router, vis = "pub(super)")]
impl Toolbox {
    /// Echo back the provided message. Use it to see whether this server answers.
    #[tool(
        title = "Echo",
        annotations(title = "Echo", read_only_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    fn echo(&self, Parameters(arguments): Parameters<EchoArguments>) -> String {
        format!("Echo: {}", arguments.message)
    }
}
