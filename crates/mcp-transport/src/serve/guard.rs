//! What every handler gets: panics become answers, results say who answered and how long they may be kept.

use std::{borrow::Cow, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestMethod, CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
        CancelledNotificationParam, CompleteRequestMethod, CompleteRequestParams, CompleteResult,
        ConstString, ContentBlock, CustomNotification, CustomRequest, CustomResult, DiscoverResult,
        ErrorCode, GetPromptRequestMethod, GetPromptRequestParams, GetPromptResponse, GetSkillRequestParams,
        GetSkillResult, GetTaskParams, GetTaskResult, InitializeRequestParams, InitializeResult,
        ListPromptsRequestMethod, ListPromptsResult, ListResourceTemplatesRequestMethod,
        ListResourceTemplatesResult, ListResourcesRequestMethod, ListResourcesResult, ListSkillsResult,
        ListToolsRequestMethod, ListToolsResult, MetaObject, PaginatedRequestParams,
        ProgressNotificationParam, ProtocolVersion, ReadResourceDirectoryRequestParams,
        ReadResourceDirectoryResult, ReadResourceRequestMethod, ReadResourceRequestParams,
        ReadResourceResponse, ServerCapabilities, ServerConfig, SetLevelRequestParams,
        SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};

use super::{
    known::is_served,
    lifetime::Lifetime,
    stamp::{Hints, Stamp},
};
use crate::is_modern;

/// A handler in its guard.
pub(crate) struct Guard<H> {
    handler: H,
    house: Arc<House>,
}

/// What the guards of one server share.
pub(crate) struct House {
    /// `_meta` with who this server is.
    identity: MetaObject,
    /// What it offers: methods of the rest are unknown, also where rmcp has an empty answer for them.
    offers: ServerCapabilities,
    lifetime: Lifetime,
}

impl House {
    pub(crate) fn new(info: &ServerConfig, lifetime: Lifetime) -> Arc<Self> {
        let mut identity = MetaObject::new();
        if let Ok(value) = serde_json::to_value(&info.server_info) {
            identity.insert("io.modelcontextprotocol/serverInfo".to_owned(), value);
        }
        Arc::new(Self { identity, offers: info.capabilities.clone(), lifetime })
    }

    /// Runs `call`, for no longer than the server lives. Its panic is in the log already, with its message and place, and the
    /// client is not told them.
    async fn run<T>(&self, call: impl Future<Output = T> + Send) -> Result<T, ErrorData> {
        let _counted = self.lifetime.open.token();
        // On the heap: by value it would be copied into each of its wrappers, for every call.
        let call = AssertUnwindSafe(Box::pin(call)).catch_unwind();
        let call = self.lifetime.cut.run_until_cancelled(call);
        match call.await {
            Some(Ok(result)) => Ok(result),
            Some(Err(_)) => Err(broken("the server failed on this request; its log says why")),
            None => Err(broken("the server has stopped")),
        }
    }

    pub(crate) fn guard<H: ServerHandler>(self: &Arc<Self>, handler: H) -> Guard<H> {
        Guard { handler, house: self.clone() }
    }
}

/// The error for a method of a feature that the server does not have.
fn offered<M: ConstString>(feature: Option<&impl Sized>) -> Result<(), ErrorData> {
    feature.map(drop).ok_or_else(ErrorData::method_not_found::<M>)
}

fn broken(why: &'static str) -> ErrorData {
    ErrorData::internal_error(why, None)
}

type Context = RequestContext<RoleServer>;
type Notified = NotificationContext<RoleServer>;
type Page = Option<PaginatedRequestParams>;

impl<H> Guard<H> {
    /// Answers one request: a panic is an error, and a result for a client of the newer era is stamped.
    async fn answer<T: Stamp>(
        &self,
        modern: bool,
        hints: Hints,
        call: impl Future<Output = Result<T, ErrorData>> + Send,
    ) -> Result<T, ErrorData> {
        let mut result = self.house.run(call).await??;
        if modern {
            result.stamp(&self.house.identity, hints);
        }
        Ok(result)
    }
}

impl<H: ServerHandler> ServerHandler for Guard<H> {
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        offered::<CallToolRequestMethod>(self.house.offers.tools.as_ref())?;
        let modern = is_modern(&context);
        let called = self.house.run(self.handler.call_tool(request, context)).await;
        // As a result it reaches the model, which can then try something else.
        let mut answer = called.unwrap_or_else(|error| {
            Ok(CallToolResult::error(vec![ContentBlock::text(error.message)]).into())
        })?;
        if modern {
            answer.stamp(&self.house.identity, Hints::NONE);
        }
        Ok(answer)
    }

    async fn list_tools(&self, page: Page, context: Context) -> Result<ListToolsResult, ErrorData> {
        offered::<ListToolsRequestMethod>(self.house.offers.tools.as_ref())?;
        self.answer(is_modern(&context), Hints::FIXED, self.handler.list_tools(page, context)).await
    }

    async fn list_prompts(&self, page: Page, context: Context) -> Result<ListPromptsResult, ErrorData> {
        offered::<ListPromptsRequestMethod>(self.house.offers.prompts.as_ref())?;
        self.answer(is_modern(&context), Hints::FIXED, self.handler.list_prompts(page, context)).await
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        offered::<GetPromptRequestMethod>(self.house.offers.prompts.as_ref())?;
        self.answer(is_modern(&context), Hints::NONE, self.handler.get_prompt(request, context)).await
    }

    async fn list_resources(&self, page: Page, context: Context) -> Result<ListResourcesResult, ErrorData> {
        offered::<ListResourcesRequestMethod>(self.house.offers.resources.as_ref())?;
        self.answer(is_modern(&context), Hints::FRESH, self.handler.list_resources(page, context)).await
    }

    async fn list_resource_templates(
        &self,
        page: Page,
        context: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        offered::<ListResourceTemplatesRequestMethod>(self.house.offers.resources.as_ref())?;
        let call = self.handler.list_resource_templates(page, context.clone());
        self.answer(is_modern(&context), Hints::FIXED, call).await
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        offered::<ReadResourceRequestMethod>(self.house.offers.resources.as_ref())?;
        self.answer(is_modern(&context), Hints::FRESH, self.handler.read_resource(request, context)).await
    }

    async fn read_resource_directory(
        &self,
        request: ReadResourceDirectoryRequestParams,
        context: Context,
    ) -> Result<ReadResourceDirectoryResult, ErrorData> {
        let call = self.handler.read_resource_directory(request, context.clone());
        self.answer(is_modern(&context), Hints::FRESH, call).await
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: Context,
    ) -> Result<CompleteResult, ErrorData> {
        offered::<CompleteRequestMethod>(self.house.offers.completions.as_ref())?;
        self.answer(is_modern(&context), Hints::NONE, self.handler.complete(request, context)).await
    }

    async fn discover(&self, context: Context) -> Result<DiscoverResult, ErrorData> {
        self.answer(true, Hints::FIXED, self.handler.discover(context)).await
    }

    async fn get_task(&self, request: GetTaskParams, context: Context) -> Result<GetTaskResult, ErrorData> {
        self.answer(is_modern(&context), Hints::NONE, self.handler.get_task(request, context)).await
    }

    async fn update_task(&self, request: UpdateTaskParams, context: Context) -> Result<(), ErrorData> {
        self.house.run(self.handler.update_task(request, context)).await?
    }

    async fn cancel_task(&self, request: CancelTaskParams, context: Context) -> Result<(), ErrorData> {
        self.house.run(self.handler.cancel_task(request, context)).await?
    }

    async fn list_skills(&self, page: Page, context: Context) -> Result<ListSkillsResult, ErrorData> {
        self.answer(is_modern(&context), Hints::FIXED, self.handler.list_skills(page, context)).await
    }

    async fn get_skill(
        &self,
        request: GetSkillRequestParams,
        context: Context,
    ) -> Result<GetSkillResult, ErrorData> {
        self.answer(is_modern(&context), Hints::FIXED, self.handler.get_skill(request, context)).await
    }

    /// Methods that are not known, and known ones whose parameters have the wrong shape. The handler may answer both.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: Context,
    ) -> Result<CustomResult, ErrorData> {
        let modern = is_modern(&context);
        let method = request.method.clone();
        let answer = self.answer(modern, Hints::NONE, self.handler.on_custom_request(request, context)).await;
        answer.map_err(|error| {
            let known =
                error.code == ErrorCode::METHOD_NOT_FOUND && is_served(&method, &self.house.offers, modern);
            if known { ErrorData::invalid_params("the parameters have the wrong shape", None) } else { error }
        })
    }

    /// A stream that would never end by itself ends with the server, and says so.
    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        tokio::select! {
            ended = self.house.run(self.handler.listen(context)) => ended?,
            () = self.house.lifetime.stopping.cancelled() => Ok(()),
        }
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        self.handler.accepted_subscription_filter(requested)
    }

    async fn subscribe(&self, request: SubscribeRequestParams, context: Context) -> Result<(), ErrorData> {
        self.house.run(self.handler.subscribe(request, context)).await?
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: Context,
    ) -> Result<(), ErrorData> {
        self.house.run(self.handler.unsubscribe(request, context)).await?
    }

    async fn set_level(&self, request: SetLevelRequestParams, context: Context) -> Result<(), ErrorData> {
        self.house.run(self.handler.set_level(request, context)).await?
    }

    async fn ping(&self, context: Context) -> Result<(), ErrorData> {
        self.house.run(self.handler.ping(context)).await?
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: Context,
    ) -> Result<InitializeResult, ErrorData> {
        self.house.run(self.handler.initialize(request, context)).await?
    }

    async fn on_initialized(&self, context: Notified) {
        let _ = self.house.run(self.handler.on_initialized(context)).await;
    }

    async fn on_cancelled(&self, notification: CancelledNotificationParam, context: Notified) {
        let _ = self.house.run(self.handler.on_cancelled(notification, context)).await;
    }

    async fn on_progress(&self, notification: ProgressNotificationParam, context: Notified) {
        let _ = self.house.run(self.handler.on_progress(notification, context)).await;
    }

    async fn on_roots_list_changed(&self, context: Notified) {
        let _ = self.house.run(self.handler.on_roots_list_changed(context)).await;
    }

    async fn on_custom_notification(&self, notification: CustomNotification, context: Notified) {
        let _ = self.house.run(self.handler.on_custom_notification(notification, context)).await;
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.handler.get_tool(name)
    }

    fn get_info(&self) -> ServerConfig {
        self.handler.get_info()
    }

    fn negotiate_initialize(&self, request: &InitializeRequestParams) -> Result<InitializeResult, ErrorData> {
        self.handler.negotiate_initialize(request)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.handler.supported_protocol_versions()
    }
}
