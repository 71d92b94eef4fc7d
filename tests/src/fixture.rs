//! The "everything server": for each thing that an MCP server can do, a tool, prompt or resource that does it.
//!
//! Names, texts and behaviour are those that the scenarios of the official MCP conformance suite ask for. The program
//! `conformance-server` serves it, and stories use it where they need a server that can do everything.
#![expect(
    deprecated,
    reason = "it serves clients of both eras, and the newer one deprecates parts of the older"
)]

mod asking;
mod call;
mod content;
mod extras;
mod input_required;
mod jobs;
mod notices;
mod prompts;
mod questions;
mod resources;
mod skills;
mod state;
#[cfg(test)]
mod tests;
mod tools;

use std::{borrow::Cow, sync::Arc};

use mcp_transport::{ClientLog, Subscriber, Subscribers, is_modern, page};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult,
        GetPromptRequestParams, GetPromptResponse, GetSkillRequestParams, GetSkillResult, GetTaskParams,
        GetTaskResult, Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
        ListSkillsResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion,
        ReadResourceDirectoryRequestParams, ReadResourceDirectoryResult, ReadResourceRequestParams,
        ReadResourceResponse, ServerCapabilities, ServerConfig, SetLevelRequestMethod, SetLevelRequestParams,
        SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
    task_manager::TaskManager,
};

use self::{
    asking::{Input, MAX_ROUNDS, ask, too_many_rounds},
    call::Call,
    extras::Extras,
    input_required::Round,
    state::Seal,
};

/// Longest page of a list. The suite reads one page of some lists, so everything is on the first.
const PAGE: usize = 100;

/// The everything server, which its sessions share. Clones are the same server.
#[derive(Clone, Default)]
pub struct Everything(Arc<Shared>);

/// The versions of the protocol that a server speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Versions {
    /// All that there are.
    #[default]
    All,
    /// 2025-11-25 and earlier.
    Legacy,
    /// 2026-07-28.
    Modern,
}

#[derive(Default)]
struct Shared {
    versions: Versions,
    extras: Extras,
    seal: Seal,
    subscribers: Subscribers,
    tasks: TaskManager,
}

/// Tasks outlive the requests that began them, and end with the server.
impl Drop for Shared {
    fn drop(&mut self) {
        self.tasks.shutdown();
    }
}

impl Everything {
    /// One that speaks these versions only.
    #[must_use]
    pub fn of(versions: Versions) -> Self {
        let mut shared = Shared::default();
        shared.versions = versions;
        Self(Arc::new(shared))
    }

    /// What serves a new session, or a request that belongs to none.
    #[must_use]
    pub fn session(&self) -> Session {
        Session {
            shared: self.0.clone(),
            log: ClientLog::default(),
            subscriber: self.0.subscribers.session(),
        }
    }
}

/// One session of the everything server.
pub struct Session {
    shared: Arc<Shared>,
    log: ClientLog,
    subscriber: Subscriber,
}

type Context = RequestContext<RoleServer>;
type Page = Option<PaginatedRequestParams>;

impl ServerHandler for Session {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_logging()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_tasks()
            .enable_skills_with_directory_read()
            .build();
        let implementation = Implementation::new("everything", env!("CARGO_PKG_VERSION"))
            .with_title("Everything")
            .with_description("Does each thing that an MCP server can do, for tests");
        ServerConfig::new(capabilities).with_server_info(implementation)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        let known = ProtocolVersion::KNOWN_VERSIONS.iter();
        match self.shared.versions {
            Versions::All => Cow::Borrowed(ProtocolVersion::KNOWN_VERSIONS),
            Versions::Legacy => {
                known.filter(|version| **version < ProtocolVersion::V_2026_07_28).cloned().collect()
            }
            Versions::Modern => Cow::Borrowed(&[ProtocolVersion::V_2026_07_28]),
        }
    }

    async fn list_tools(&self, request: Page, _: Context) -> Result<ListToolsResult, ErrorData> {
        let (tools, next) = page(&tools::listed(&self.shared.extras), request, PAGE)?;
        Ok(ListToolsResult { next_cursor: next, ..ListToolsResult::with_all_items(tools) })
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::find(name, &self.shared.extras)
    }

    async fn call_tool(
        &self,
        mut request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let mut input = Input::of(request.input_responses.take(), request.request_state.take(), &context);
        for _ in 0..MAX_ROUNDS {
            match tools::call(&Call::new(self, &request, input, &context)).await? {
                CallToolResponse::InputRequired(required) if !is_modern(&context) => {
                    input = ask(required, &context).await?;
                }
                answer => return Ok(answer),
            }
        }
        Err(too_many_rounds())
    }

    async fn list_prompts(&self, request: Page, _: Context) -> Result<ListPromptsResult, ErrorData> {
        let (prompts, next) = page(&prompts::listed(&self.shared.extras), request, PAGE)?;
        Ok(ListPromptsResult { next_cursor: next, ..ListPromptsResult::with_all_items(prompts) })
    }

    async fn get_prompt(
        &self,
        mut request: GetPromptRequestParams,
        context: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        let mut input = Input::of(request.input_responses.take(), request.request_state.take(), &context);
        for _ in 0..MAX_ROUNDS {
            match prompts::get(&request, &self.shared.extras, &Round::new(input, &context))? {
                GetPromptResponse::InputRequired(required) if !is_modern(&context) => {
                    input = ask(required, &context).await?;
                }
                answer => return Ok(answer),
            }
        }
        Err(too_many_rounds())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: Context,
    ) -> Result<CompleteResult, ErrorData> {
        prompts::complete(&request)
    }

    async fn list_resources(&self, request: Page, _: Context) -> Result<ListResourcesResult, ErrorData> {
        let (resources, next) = page(&resources::listed(&self.shared.extras), request, PAGE)?;
        Ok(ListResourcesResult { next_cursor: next, ..ListResourcesResult::with_all_items(resources) })
    }

    async fn list_resource_templates(
        &self,
        request: Page,
        _: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let (templates, next) = page(&resources::templates(), request, PAGE)?;
        Ok(ListResourceTemplatesResult {
            next_cursor: next,
            ..ListResourceTemplatesResult::with_all_items(templates)
        })
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&request.uri, &self.shared.extras).map(Into::into)
    }

    async fn read_resource_directory(
        &self,
        request: ReadResourceDirectoryRequestParams,
        _: Context,
    ) -> Result<ReadResourceDirectoryResult, ErrorData> {
        let page_request = PaginatedRequestParams::default().with_cursor(request.cursor);
        let (children, next) = page(&skills::directory(&request.uri)?, Some(page_request), PAGE)?;
        Ok(ListResourcesResult { next_cursor: next, ..ListResourcesResult::with_all_items(children) })
    }

    async fn list_skills(&self, request: Page, _: Context) -> Result<ListSkillsResult, ErrorData> {
        let (skills, next) = page(&[skills::skill()], request, PAGE)?;
        Ok(ListSkillsResult { next_cursor: next, ..ListSkillsResult::with_all_items(skills) })
    }

    async fn get_skill(
        &self,
        request: GetSkillRequestParams,
        _: Context,
    ) -> Result<GetSkillResult, ErrorData> {
        let skill = skills::skill();
        if skill.uri != request.uri {
            return Err(ErrorData::invalid_params(
                "unknown skill: skills/list has those that there are",
                None,
            ));
        }
        Ok(GetSkillResult::new(skill))
    }

    async fn get_task(&self, request: GetTaskParams, _: Context) -> Result<GetTaskResult, ErrorData> {
        self.shared.tasks.get_task(&request.task_id).map(GetTaskResult::new)
    }

    async fn update_task(&self, request: UpdateTaskParams, _: Context) -> Result<(), ErrorData> {
        self.shared.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(&self, request: CancelTaskParams, _: Context) -> Result<(), ErrorData> {
        self.shared.tasks.cancel_task(&request.task_id)
    }

    async fn set_level(&self, request: SetLevelRequestParams, context: Context) -> Result<(), ErrorData> {
        if is_modern(&context) {
            return Err(ErrorData::method_not_found::<SetLevelRequestMethod>());
        }
        self.log.set_level(request.level);
        Ok(())
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.subscriber.join(context.peer);
    }

    async fn subscribe(&self, request: SubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        resources::read(&request.uri, &self.shared.extras)?;
        self.subscriber.subscribe(request.uri)
    }

    async fn unsubscribe(&self, request: UnsubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        self.subscriber.unsubscribe(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(self.subscriber.accept(requested.clone()))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.subscriber.listen(context).await
    }
}
