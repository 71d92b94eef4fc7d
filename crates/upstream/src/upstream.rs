//! One MCP server as its user sees it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mcp_transport::{Address, ConnectError};
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, CompleteRequest,
    CompleteRequestParams, CompletionInfo, DiscoverRequest, DiscoverRequestParams, GetPromptRequest,
    GetPromptRequestParams, GetPromptResult, JsonObject, LoggingLevel, PingRequest, Prompt,
    ReadResourceRequest, ReadResourceRequestParams, ReadResourceResult, Resource, ResourceTemplate,
    ServerResult, Tool,
};
use tokio::sync::watch;
use tokio_util::sync::DropGuard;

use crate::{
    CallError, CallOptions, Host, Introduction, Options, Status,
    calls::{Call, Failure},
    connection::Connection,
    lists::{Item, Listed, Remembered},
    wishes::Log,
};

/// One MCP server. Clones are the same one. Nothing is connected until something is asked of it or [`Upstream::connect`] is called;
/// once it was connected it is listened to, and connected to again when it has gone away.
///
/// Dropping the last clone closes the connection in the background; [`Upstream::close`] waits for that.
#[derive(Clone)]
pub struct Upstream {
    connection: Arc<Connection>,
    _stop: Arc<DropGuard>,
}

impl Upstream {
    /// `host` answers what the server asks.
    #[must_use]
    pub fn new(name: impl Into<String>, address: Address, options: Options, host: Arc<dyn Host>) -> Self {
        let connection = Arc::new(Connection::new(name.into(), address, options, host));
        let stop = Arc::new(connection.stop.clone().drop_guard());
        Self { connection, _stop: stop }
    }

    /// The name that it was given here.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.connection.desk.name
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.connection.address
    }

    /// How the connection is doing now, and whenever it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.connection.status.subscribe()
    }

    /// Connects, if it is not connected, and says whom to.
    ///
    /// # Errors
    /// Why not.
    pub async fn connect(&self) -> Result<Arc<Introduction>, Arc<ConnectError>> {
        Ok(self.connection.session().await?.introduction.clone())
    }

    /// All its tools, all pages: asked once, and again after the server said that they changed or was connected to anew.
    ///
    /// # Errors
    /// Also when the pages have no end.
    pub async fn tools(&self) -> Result<Arc<Vec<Tool>>, CallError> {
        self.list(&self.connection.desk.lists.tools).await
    }

    /// All its resources, as [`Upstream::tools`].
    ///
    /// # Errors
    /// As [`Upstream::tools`].
    pub async fn resources(&self) -> Result<Arc<Vec<Resource>>, CallError> {
        self.list(&self.connection.desk.lists.resources).await
    }

    /// All its templates of resources, as [`Upstream::tools`].
    ///
    /// # Errors
    /// As [`Upstream::tools`].
    pub async fn resource_templates(&self) -> Result<Arc<Vec<ResourceTemplate>>, CallError> {
        self.list(&self.connection.desk.lists.templates).await
    }

    /// All its prompts, as [`Upstream::tools`].
    ///
    /// # Errors
    /// As [`Upstream::tools`].
    pub async fn prompts(&self) -> Result<Arc<Vec<Prompt>>, CallError> {
        self.list(&self.connection.desk.lists.prompts).await
    }

    /// Calls a tool. What the server asks in between goes to the host. A result with `is_error` is a result.
    ///
    /// # Errors
    /// Why there is no result. A call is never repeated when it may have been carried out.
    pub async fn call_tool(
        &self,
        tool: &str,
        arguments: JsonObject,
        options: CallOptions,
    ) -> Result<CallToolResult, CallError> {
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let (mut call, answer) = self.ask(CallToolRequest::new(params).into(), &options).await?;
        match answer {
            ServerResult::CallToolResult(result) => Ok(result),
            ServerResult::CreateTaskResult(created) => call.task(created.task).await,
            _ => Err(strange("the result of a tool")),
        }
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// Why not.
    pub async fn read_resource(
        &self,
        uri: &str,
        options: CallOptions,
    ) -> Result<ReadResourceResult, CallError> {
        let request = ReadResourceRequest::new(ReadResourceRequestParams::new(uri));
        match self.ask(request.into(), &options).await?.1 {
            ServerResult::ReadResourceResult(result) => Ok(result),
            _ => Err(strange("a resource")),
        }
    }

    /// Gets a prompt; its arguments are strings.
    ///
    /// # Errors
    /// Why not.
    pub async fn prompt(
        &self,
        name: &str,
        arguments: JsonObject,
        options: CallOptions,
    ) -> Result<GetPromptResult, CallError> {
        let params = GetPromptRequestParams::new(name).with_arguments(arguments);
        match self.ask(GetPromptRequest::new(params).into(), &options).await?.1 {
            ServerResult::GetPromptResult(result) => Ok(result),
            _ => Err(strange("a prompt")),
        }
    }

    /// Values for an argument of a prompt or a template.
    ///
    /// # Errors
    /// Why there are none; a server that cannot complete gives an empty list.
    pub async fn complete(&self, params: CompleteRequestParams) -> Result<CompletionInfo, CallError> {
        if self.connect().await?.capabilities.completions.is_none() {
            return Ok(CompletionInfo::default());
        }
        match self.ask(CompleteRequest::new(params).into(), &CallOptions::default()).await?.1 {
            ServerResult::CompleteResult(result) => Ok(result.completion),
            _ => Err(strange("a completion")),
        }
    }

    /// Asks for a sign of life, and says how long it took: `ping`, or in the newer era `server/discover`.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn ping(&self) -> Result<Duration, CallError> {
        let request = if self.connection.session().await?.is_modern() {
            DiscoverRequest::new(DiscoverRequestParams {}).into()
        } else {
            PingRequest::default().into()
        };
        let asked = Instant::now();
        self.ask(request, &CallOptions::default()).await?;
        Ok(asked.elapsed())
    }

    /// Wants to hear the server's log from this level on, or not any more; remembered over reconnections.
    ///
    /// # Errors
    /// Why it cannot be.
    pub async fn set_log_level(&self, level: Option<LoggingLevel>) -> Result<(), CallError> {
        self.connection.set_log(level.map_or(Log::Off, Log::From)).await
    }

    /// Wants to hear when this resource changes; remembered over reconnections. At most 256.
    ///
    /// # Errors
    /// Why it cannot be.
    pub async fn subscribe(&self, uri: &str) -> Result<(), CallError> {
        self.connection.subscribe(uri).await
    }

    /// Not any more.
    ///
    /// # Errors
    /// Why it cannot be.
    pub async fn unsubscribe(&self, uri: &str) -> Result<(), CallError> {
        self.connection.unsubscribe(uri).await
    }

    /// Closes the connection and waits until everything that belongs to it is gone, a child process too.
    pub async fn close(&self) {
        self.connection.close().await;
    }

    /// A request that never left is sent once more, over a new connection.
    async fn ask(
        &self,
        request: ClientRequest,
        options: &CallOptions,
    ) -> Result<(Call, ServerResult), CallError> {
        let mut again = true;
        loop {
            let mut call = self.call(options).await?;
            match call.rounds(request.clone()).await {
                Err(Failure::Unsent(CallError::Lost { .. })) if again => again = false,
                Err(failure) => return Err(failure.into()),
                Ok(answer) => return Ok((call, answer)),
            }
        }
    }

    async fn list<T: Item>(&self, remembered: &Remembered<T>) -> Listed<T> {
        self.connection.session().await?; // what is remembered of the last connection is forgotten
        let upstream = self.clone();
        let listed = remembered.get(|| async move {
            let mut again = true;
            loop {
                let mut call = upstream.call(&CallOptions::default()).await?;
                match call.list().await.map_err(CallError::from) {
                    Err(CallError::Lost { .. }) if again => again = false, // asking twice does no harm
                    listed => return listed.map(Arc::new),
                }
            }
        });
        listed.await
    }

    async fn call(&self, options: &CallOptions) -> Result<Call, CallError> {
        let session = self.connection.session().await?;
        Ok(Call::new(session, options, self.connection.options.limits))
    }
}

fn strange(wanted: &str) -> CallError {
    CallError::Protocol(format!("it is not {wanted}"))
}
