//! The MCP side: one server, and a handler for each of its sessions.

use std::sync::Arc;

use cost_calculator::Usd;
use mcp_transport::{ClientLog, Subscriber, Subscribers, caller, is_modern};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestMethod, CallToolRequestParams, CallToolResponse, CancelTaskParams,
        CompleteRequestParams, CompleteResult, ConstString as _, CustomRequest, CustomResult, ErrorCode,
        GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult, Implementation,
        ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
        ServerConfig, SetLevelRequestMethod, SetLevelRequestParams, SubscribeRequestParams,
        SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SetOnce};

use crate::{
    Failure, Messenger,
    asking::Asking,
    calls::{self, Call},
    completions, prompts, resources,
    tasks::Tasks,
    tools::{TOOLS, ToolName},
};

/// Calls that are answered at the same time; more get a failure that says so.
const MAX_CALLS: usize = 64;
/// Tools of one page of the list.
const PAGE: usize = 50;
const INSTRUCTIONS: &str = "Sends messages to AI models through Server B and keeps the conversations. Start with \
    send_message_to_ai; pass the conversationId of its result as conversation_id to continue. Every result tells tokens \
    and cost. When a call fails, its hint says what to do; check_server_b_health tells whether Server B runs. Each \
    conversation is a resource, conversation://ID, that can be read and subscribed to.";
/// The messenger as an MCP server. Clones are the same server.
#[derive(Clone)]
pub struct MessengerServer(Arc<Shared>);

struct Shared {
    /// Requests wait for it.
    messenger: SetOnce<Messenger>,
    places: Arc<Semaphore>,
    subscribers: Subscribers,
    asking: Asking,
    tasks: Tasks,
}

/// The server as one session sees it: what this client subscribed to, and what it wants to read in its log.
pub struct MessengerSession {
    server: MessengerServer,
    subscriber: Subscriber,
    log: ClientLog,
}

impl MessengerServer {
    /// The MCP server of this messenger.
    #[must_use]
    pub fn new(messenger: Messenger) -> Self {
        let server = Self::starting(None);
        server.start(messenger);
        server
    }

    /// An MCP server that answers handshakes already, and everything else once it is started. Before a message that may cost
    /// more than `confirm_above`, clients that can are told to ask their user.
    #[must_use]
    pub fn starting(confirm_above: Option<Usd>) -> Self {
        Self(Arc::new(Shared {
            messenger: SetOnce::new(),
            places: Arc::new(Semaphore::new(MAX_CALLS)),
            subscribers: Subscribers::default(),
            asking: Asking::new(confirm_above),
            tasks: Tasks::default(),
        }))
    }

    /// Lets the requests begin. Starting a second time changes nothing.
    pub fn start(&self, messenger: Messenger) {
        let _ = self.0.messenger.set(messenger.telling(self.0.subscribers.clone()));
    }

    /// The handler of a new session, or of a request that belongs to none. It costs little.
    #[must_use]
    pub fn session(&self) -> MessengerSession {
        let (subscriber, log) = (self.0.subscribers.session(), ClientLog::default());
        MessengerSession { server: self.clone(), subscriber, log }
    }

    /// Lets tasks finish that outlived their requests, for a few seconds, and then calls them off.
    pub async fn stop(&self) {
        self.0.tasks.stop().await;
    }

    pub(crate) async fn messenger(&self) -> &Messenger {
        self.0.messenger.wait().await
    }

    /// A place for one more call, if there is one.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.0.places.clone().try_acquire_owned().map_err(|_| Failure::busy(MAX_CALLS))
    }

    pub(crate) fn asking(&self) -> &Asking {
        &self.0.asking
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }
}

type Context = RequestContext<RoleServer>;

impl ServerHandler for MessengerSession {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_resources_list_changed()
            .enable_prompts()
            .enable_completions()
            .enable_logging()
            .enable_tasks()
            .build();
        let implementation = Implementation::new("messenger-server", env!("CARGO_PKG_VERSION"))
            .with_title("Server A (Messenger)")
            .with_description(env!("CARGO_PKG_DESCRIPTION"));
        ServerConfig::new(capabilities).with_server_info(implementation).with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        let (tools, next_cursor) = mcp_transport::page(&TOOLS, request, PAGE)?;
        let mut list = ListToolsResult::with_all_items(tools);
        list.next_cursor = next_cursor;
        Ok(list)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        TOOLS.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        Call { server: &self.server, log: &self.log, context: &context }.answer(request).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        resources::list(self.server.messenger().await, request).await
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        resources::templates(request)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Ok(resources::read(self.server.messenger().await, &request.uri).await?.into())
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.subscriber.join(context.peer);
    }

    async fn subscribe(&self, request: SubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        self.subscriber.subscribe(resources::subscription(&request.uri)?)
    }

    async fn unsubscribe(&self, request: UnsubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        self.subscriber.unsubscribe(&resources::subscription(&request.uri)?);
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(self.subscriber.accept(resources::accepted(requested)))
    }

    async fn listen(&self, stream: SubscriptionContext) -> Result<(), ErrorData> {
        self.subscriber.listen(stream).await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        prompts::list(request)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        Ok(prompts::get(self.server.messenger().await, request).await?.into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: Context,
    ) -> Result<CompleteResult, ErrorData> {
        Ok(CompleteResult::new(completions::complete(self.server.messenger().await, request).await?))
    }

    /// Since 2026-07-28 a request names its level itself.
    async fn set_level(&self, request: SetLevelRequestParams, context: Context) -> Result<(), ErrorData> {
        if is_modern(&context) {
            return Err(ErrorData::method_not_found::<SetLevelRequestMethod>());
        }
        self.log.set_level(request.level);
        Ok(())
    }

    async fn get_task(&self, request: GetTaskParams, context: Context) -> Result<GetTaskResult, ErrorData> {
        self.server.tasks().get(&request.task_id, caller(&context)).map(GetTaskResult::new)
    }

    async fn update_task(&self, request: UpdateTaskParams, context: Context) -> Result<(), ErrorData> {
        self.server.tasks().update(&request.task_id, caller(&context))
    }

    async fn cancel_task(&self, request: CancelTaskParams, context: Context) -> Result<(), ErrorData> {
        self.server.tasks().cancel(&request.task_id, caller(&context))
    }

    /// Methods that are not known, and known ones whose parameters have the wrong shape.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: Context,
    ) -> Result<CustomResult, ErrorData> {
        let name = request.params.as_ref().and_then(|params| params.get("name")?.as_str());
        match (request.method.as_str(), name) {
            (CallToolRequestMethod::VALUE, Some(name)) if ToolName::find(name).is_none() => {
                Err(calls::unknown_tool())
            }
            (CallToolRequestMethod::VALUE, Some(_)) => {
                let mut result = calls::shapeless_arguments();
                result.result_type = result.result_type.filter(|_| is_modern(&context));
                Ok(CustomResult::new(serde_json::to_value(result).unwrap_or(Value::Null)))
            }
            // Of the rest the transport knows which are methods of this era.
            _ => Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "unknown method", None)),
        }
    }
}
