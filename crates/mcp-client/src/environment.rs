//! What the program takes from its environment besides its settings.

use std::path::PathBuf;

use etcetera::{BaseStrategy as _, choose_base_strategy};

/// The value of a variable that a configuration file names, or that all programs know (`NO_COLOR`).
#[expect(
    clippy::disallowed_methods,
    reason = "the names come from configuration files; settings are read by clap"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    // std panics on these.
    if name.is_empty() || name.contains(['=', '\0']) {
        return None;
    }
    std::env::var(name).ok()
}

/// Where images and audio are saved by default.
pub(crate) fn media_folder() -> PathBuf {
    match choose_base_strategy() {
        Ok(folders) => folders.cache_dir().join("mcp-client"),
        // Without a home there is still a place for this user's files of today.
        Err(_) => std::env::temp_dir().join(format!("mcp-client-{}", std::process::id())),
    }
}

/// Where the history of commands is kept by default; `None` without a home.
pub(crate) fn history_file() -> Option<PathBuf> {
    choose_base_strategy().ok().map(|folders| folders.data_dir().join("mcp-client").join("history.txt"))
}
