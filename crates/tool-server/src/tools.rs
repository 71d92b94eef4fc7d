//! The tools: one file each, and one line each below.

mod echo;
mod get_time;
mod list_files;
mod math_calc;
mod run_command;

use rmcp::handler::server::router::tool::ToolRouter;

use crate::{root_folder::RootFolder, shell::Shell};

/// The tool that needs a permission of its own.
pub(crate) const RUN_COMMAND: &str = "run_command";

/// What the tools work with. Every file adds its tool to it, as a method.
pub(crate) struct Toolbox {
    pub(crate) root: RootFolder,
    pub(crate) shell: Shell,
}

impl Toolbox {
    /// All the tools there are, enabled or not.
    pub(crate) fn router() -> ToolRouter<Self> {
        let mut tools = Self::echo_router()
            + Self::get_time_router()
            + Self::list_files_router()
            + Self::math_calc_router()
            + Self::run_command_router();
        // Descriptions are doc comments: their line breaks are those of the source.
        for description in tools.map.values_mut().filter_map(|tool| tool.attr.description.as_mut()) {
            *description = description.replace('\n', " ").into();
        }
        tools
    }

    /// The names of all the tools there are, sorted.
    pub(crate) fn names() -> Vec<String> {
        Self::router().list_all().into_iter().map(|tool| tool.name.into_owned()).collect()
    }
}
