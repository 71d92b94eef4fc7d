//! `list_files`: what is in a folder below the root.

use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::Toolbox;
use crate::parameters::Parameters;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListFilesArguments {
    /// Folder to list: relative to the folder that this server shows, which is `.`, or absolute and inside it.
    path: String,
}

#[tool_router(router = list_files_router, vis = "pub(super)")]
impl Toolbox {
    /// List the files and folders in a folder, sorted by name; folders end with a slash. Only the folder that this server
    /// shows, and what is below it, can be listed. At most 1000 names are given.
    #[tool(
        title = "List files",
        annotations(title = "List files", read_only_hint = true, open_world_hint = false)
    )]
    async fn list_files(
        &self,
        Parameters(arguments): Parameters<ListFilesArguments>,
        cancelled: CancellationToken,
    ) -> Result<String, String> {
        let root = self.root.clone();
        let list = move || {
            let listing = root.list(&arguments.path, &cancelled).map_err(|error| error.to_string())?;
            Ok(format!("Files in {}:{listing}", arguments.path))
        };
        // A disk may be slow, and other calls share this thread.
        tokio::task::spawn_blocking(list).await.map_err(|error| error.to_string())?
    }
}
