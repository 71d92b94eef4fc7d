//! `run_command`: a command of the system's shell. Off unless the server is told to allow it.

use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::Toolbox;
use crate::parameters::Parameters;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RunCommandArguments {
    /// Command line for `sh -c`. It runs in the folder that this server shows, without standard input.
    command: String,
}

#[tool_router(router = run_command_router, vis = "pub(super)")]
impl Toolbox {
    /// Execute a shell command on the server and get its return code and output. It may take 10 seconds, then it is killed
    /// with everything that it started; what it leaves behind in the background is killed too. Of stdout and stderr the
    /// first 64 KiB are given.
    #[tool(
        title = "Run a command",
        annotations(
            title = "Run a command",
            read_only_hint = false,
            destructive_hint = true,
            open_world_hint = true
        )
    )]
    async fn run_command(
        &self,
        Parameters(arguments): Parameters<RunCommandArguments>,
        cancelled: CancellationToken,
    ) -> Result<String, String> {
        let finished = self.shell.run(&arguments.command, &cancelled).await;
        finished.map(|finished| finished.to_string()).map_err(|error| error.to_string())
    }
}
