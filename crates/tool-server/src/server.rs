//! The MCP side: what clients may ask, and who answers.

use std::{ffi::OsString, io, path::PathBuf, sync::Arc, time::Instant};

use mcp_transport::page;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    handler::server::{router::tool::ToolRouter, tool::ToolCallContext},
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorCode, Implementation,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};

use crate::{
    CommandLimits,
    resources::{self, Info},
    root_folder::RootFolder,
    shell::Shell,
    statistics::Statistics,
    tools::{RUN_COMMAND, Toolbox},
};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const DESCRIPTION: &str = "Five small tools: echo, time, files, arithmetic and commands";
/// Entries of one page of a list.
const PAGE: usize = 100;
const INSTRUCTIONS: &str = "A few small tools: tools/list has those that are enabled here. A call that fails gives a result \
    that says why. The resource server://info tells which tools are enabled, server://stats what the server has done.";

/// What a server is built from.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name that clients see.
    pub name: String,
    /// Tools to enable; `None` enables all.
    pub tools: Option<Vec<String>>,
    /// The folder that `list_files` shows, and where commands run.
    pub root: PathBuf,
    /// Limits of commands; `None` keeps `run_command` off, whatever `tools` says. Commands need Unix.
    pub commands: Option<CommandLimits>,
    /// The environment of commands.
    pub command_environment: Vec<(OsString, OsString)>,
}

/// Why a server cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The root is missing, or not a folder.
    #[error("the root `{0}` cannot be used")]
    Root(PathBuf, #[source] io::Error),
    /// A tool that there is not.
    #[error("`{0}` is not a tool: known are {known}", known = Toolbox::names().join(", "))]
    UnknownTool(String),
}

/// The MCP server. Clones are the same server.
#[derive(Clone)]
pub struct ToolServer(Arc<Shared>);

struct Shared {
    name: String,
    tools: ToolRouter<Toolbox>,
    toolbox: Toolbox,
    statistics: Statistics,
}

impl ToolServer {
    /// A server with these tools.
    ///
    /// # Errors
    /// When the root is not a folder, or a tool is not known.
    pub fn new(options: Options) -> Result<Self, SetupError> {
        let root = RootFolder::open(&options.root).map_err(|error| SetupError::Root(options.root, error))?;
        let tools = enabled(options.tools.as_deref(), options.commands.is_some() && cfg!(unix))?;
        let limits = options.commands.unwrap_or_default();
        let shell = Shell::new(root.path().to_owned(), options.command_environment, limits);
        let statistics = Statistics::new(Toolbox::names());
        let toolbox = Toolbox { root, shell };
        Ok(Self(Arc::new(Shared { name: options.name, tools, toolbox, statistics })))
    }

    /// The names of the tools that are enabled, sorted.
    #[must_use]
    pub fn enabled_tools(&self) -> Vec<String> {
        self.0.tools.list_all().into_iter().map(|tool| tool.name.into_owned()).collect()
    }

    /// Ends the commands that still run. Call it when no more requests come.
    pub async fn stop(&self) {
        self.0.toolbox.shell.stop().await;
    }

    async fn call(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if !self.0.tools.map.contains_key(&request.name) {
            return Err(unknown_tool());
        }
        if self.0.tools.is_disabled(&request.name) {
            return Ok(failure(format!("Tool '{}' is not enabled on this server", request.name)));
        }
        self.0.statistics.call(&request.name);
        let call = ToolCallContext::new(&self.0.toolbox, request, context);
        match self.0.tools.call(call).await {
            // Arguments that do not fit: the model can mend them if it sees what is wrong, and it sees results only.
            Err(error) if error.code == ErrorCode::INVALID_PARAMS => Ok(failure(error.message)),
            answer => answer,
        }
    }

    fn counted<T>(&self, answer: Result<T, ErrorData>) -> Result<T, ErrorData> {
        self.0.statistics.request();
        if answer.is_err() {
            self.0.statistics.error();
        }
        answer
    }
}

impl ServerHandler for ToolServer {
    fn get_info(&self) -> ServerConfig {
        let about = Implementation::new(self.0.name.clone(), VERSION)
            .with_title("Tool server")
            .with_description(DESCRIPTION);
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_resources().build())
            .with_server_info(about)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let (tools, next) = self.counted(page(&self.0.tools.list_all(), request, PAGE))?;
        let mut list = ListToolsResult::with_all_items(tools);
        list.next_cursor = next;
        Ok(list)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.0.tools.get(name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let (started, name) = (Instant::now(), request.name.clone());
        let answer = self.counted(self.call(request, context).await)?;
        let failed = matches!(&answer, CallToolResponse::Complete(result) if result.is_error == Some(true));
        if failed {
            self.0.statistics.error();
        }
        let duration_ms = started.elapsed().as_millis();
        tracing::info!(tool.name = &*name, tool.failed = failed, duration_ms, "call answered");
        Ok(answer)
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let (resources, next) = self.counted(page(&resources::all(), request, PAGE))?;
        let mut list = ListResourcesResult::with_all_items(resources);
        list.next_cursor = next;
        Ok(list)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let (none, _) = self.counted(page(&[], request, PAGE))?;
        Ok(ListResourceTemplatesResult::with_all_items(none))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let info = Info { name: &self.0.name, version: VERSION, enabled_tools: self.enabled_tools() };
        let result = resources::read(&request.uri, &info, &self.0.statistics);
        self.counted(result).map(Into::into)
    }
}

/// All tools, those disabled that were not asked for, and `run_command` unless it is allowed.
fn enabled(asked: Option<&[String]>, commands_allowed: bool) -> Result<ToolRouter<Toolbox>, SetupError> {
    let mut tools = Toolbox::router();
    let names = Toolbox::names();
    if let Some(unknown) = asked.unwrap_or_default().iter().find(|name| !names.contains(name)) {
        return Err(SetupError::UnknownTool(unknown.clone()));
    }
    if !commands_allowed && asked.is_some_and(|asked| asked.iter().any(|name| name == RUN_COMMAND)) {
        tracing::warn!("run_command stays off: it needs --allow-run-command too, and Unix");
    }
    for name in names {
        let wanted = asked.is_none_or(|asked| asked.contains(&name));
        if !wanted || (name == RUN_COMMAND && !commands_allowed) {
            tools.disable_route(name);
        }
    }
    Ok(tools)
}

/// A protocol error, as the specification wants it. It repeats nothing of the request: errors are logged.
fn unknown_tool() -> ErrorData {
    ErrorData::invalid_params("unknown tool: tools/list has those that there are", None)
}

/// A result that says why there is none.
fn failure(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::error(vec![ContentBlock::text(text)]).into()
}
