//! The MCP face: translates tool calls for the responder, and its answers back.

mod failure;
mod provider_info;
mod requests;
mod results;
mod tools;

use std::{pin::pin, sync::Arc, time::Instant};

use futures_util::StreamExt as _;
use mcp_tools::{Arguments, Reply};
use mcp_transport::page;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestMethod, CallToolRequestParams, CallToolResponse, CallToolResult, ConstString as _,
        CustomRequest, CustomResult, ErrorCode, Implementation, ListToolsResult, PaginatedRequestParams,
        ProgressNotificationParam, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde::Serialize;
use telemetry::TraceParent;
use tokio::time::timeout;

use self::{
    failure::Failure,
    provider_info::ProviderInfo,
    results::{ConfiguredResult, ProcessedResult, ReceivedResult, StatisticsResult},
    tools::ToolName,
};
use crate::{
    app::App,
    error::ApiError,
    exchange::Answer,
    responder::{Question, StreamedItem},
};

/// Tools on a page of the list: all of them.
const PAGE: usize = 100;
const INSTRUCTIONS: &str = "Answers messages through a model provider and keeps the bill. process_message asks the model; \
    every result tells tokens and cost. get_received_messages and get_openai_stats tell what all callers have asked and \
    what it cost; configure_ai_model changes the defaults for all of them. When a call fails, its hint says what to do; \
    health_check tells whether the provider can answer.";

/// The responder as an MCP server. Clones are the same server.
#[derive(Clone)]
pub(crate) struct ResponderServer {
    app: Arc<App>,
    tools: Arc<[Tool]>,
}

/// One call of a tool: what it was asked, and where its pieces go.
struct Call<'c> {
    context: &'c RequestContext<RoleServer>,
    trace: Option<TraceParent>,
    started: Instant,
}

impl ResponderServer {
    pub(crate) fn new(app: Arc<App>) -> Self {
        let tools = tools::all(app.defaults.max_tokens_limit()).into();
        Self { app, tools }
    }

    async fn answer(&self, tool: ToolName, arguments: Arguments, call: &Call<'_>) -> Result<Reply, ApiError> {
        let app = &self.app;
        match tool {
            ToolName::Process | ToolName::ProcessStream => self.process(tool, arguments, call).await,
            ToolName::Configure => self.configure(arguments),
            ToolName::Received => {
                let page = app.ledger.history(requests::page(arguments)?).await;
                reply(&ReceivedResult::new(page.map_err(ApiError::LedgerRead)?))
            }
            ToolName::Statistics => {
                requests::nothing(arguments)?;
                let totals = app.ledger.totals().await.map_err(ApiError::LedgerRead)?;
                reply(&StatisticsResult::new(app.defaults.config().provider, &totals))
            }
            ToolName::Provider => {
                requests::nothing(arguments)?;
                reply(&ProviderInfo::new(&app.defaults, app.models().await.inspect_err(ApiError::log)))
            }
            ToolName::Health => {
                requests::nothing(arguments)?;
                reply(&app.health().await)
            }
        }
    }

    /// Asks the provider, by the same way as `POST /process` and `POST /stream`.
    async fn process(
        &self,
        tool: ToolName,
        arguments: Arguments,
        call: &Call<'_>,
    ) -> Result<Reply, ApiError> {
        let app = &self.app;
        let request = requests::message(arguments, app.defaults.max_tokens_limit())?;
        let prompt = app.defaults.prompt(request, call.trace)?;
        let _slot = app.slot()?;
        let question = Question { prompt, key: None, started: call.started };
        let answer = match tool {
            ToolName::ProcessStream => self.stream(question, call.context).await?,
            _ => app.responder.answer(question).await?,
        };
        reply(&ProcessedResult::new(answer.response()))
    }

    /// Sends each piece of the answer as a progress notification, if the client wants those, and gives the whole.
    async fn stream(
        &self,
        question: Question,
        context: &RequestContext<RoleServer>,
    ) -> Result<Answer, ApiError> {
        let mut items = pin!(self.app.responder.clone().stream(question).await?);
        let mut wanted = context.meta.get_progress_token();
        let mut count = 0.0;
        while let Some(item) = items.next().await {
            let piece = match item {
                StreamedItem::Piece(piece) => piece,
                StreamedItem::End(answer) => return Ok(*answer),
                StreamedItem::Failed(error) => return Err(error),
            };
            let Some(token) = wanted.clone() else { continue };
            count += 1.0;
            let progress = ProgressNotificationParam::new(token, count).with_message(piece);
            match timeout(self.app.streams.stall(), context.peer.notify_progress(progress)).await {
                Ok(Ok(())) => {}
                // Whether the client still wants the answer is said by `context.ct`, not by this.
                Ok(Err(_)) => wanted = None,
                Err(_) => {
                    tracing::info!("an MCP client stopped reading: its call is given up");
                    return Err(ApiError::Cancelled);
                }
            }
        }
        Err(ApiError::Internal) // a stream ends with an item that says how
    }

    fn configure(&self, arguments: Arguments) -> Result<Reply, ApiError> {
        let defaults = &self.app.defaults;
        let changed = defaults.change(requests::changes(arguments, defaults.max_tokens_limit())?)?;
        let now = &changed.current;
        let (model, temperature, max_tokens) = (&now.default_model, now.temperature, now.max_tokens);
        tracing::info!(model.id = model, temperature, max_tokens, "the defaults were set over MCP");
        reply(&ConfiguredResult::new(changed, defaults))
    }

    /// One line in the log and one count for every call.
    fn count(&self, tool: ToolName, call: &Call<'_>, answer: &Result<Reply, ApiError>) {
        let (took, code) = (call.started.elapsed(), answer.as_ref().err().map(ApiError::code));
        if let Err(error) = answer {
            error.log();
        }
        tracing::info!(
            tool.name = tool.as_str(),
            duration_ms = took.as_micros() as f64 / 1e3,
            trace.id = call.trace.map(|trace| trace.trace_id()),
            error.code = code,
            "tool called"
        );
        self.app.metrics.tool_call(tool.as_str(), code.unwrap_or("answered"), took);
    }
}

impl ServerHandler for ResponderServer {
    fn get_info(&self) -> ServerConfig {
        let implementation = Implementation::new("ai-responder-server", env!("CARGO_PKG_VERSION"))
            .with_title("Server B (AI Responder)")
            .with_description(env!("CARGO_PKG_DESCRIPTION"));
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(implementation)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let (tools, next) = page(&self.tools, request, PAGE)?;
        let mut list = ListToolsResult::with_all_items(tools);
        list.next_cursor = next;
        Ok(list)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = ToolName::find(&request.name) else {
            return Err(unknown_tool());
        };
        let trace = context.meta.get_traceparent().and_then(|text| text.parse().ok());
        let call = Call { context: &context, trace, started: Instant::now() };
        // Dropping the answer cancels the call to the provider, and records what it used.
        let answer = self.answer(tool, Arguments::new(request.arguments), &call);
        let answer = context.ct.run_until_cancelled(answer).await.unwrap_or(Err(ApiError::Cancelled));
        self.count(tool, &call, &answer);
        Ok(result(answer).into())
    }

    /// Methods that are not known, and known ones whose parameters have the wrong shape: `arguments` must be an object.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if request.method != CallToolRequestMethod::VALUE {
            return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "unknown method", None));
        }
        match request.params.as_ref().and_then(|params| params.get("name")?.as_str()) {
            Some(name) if ToolName::find(name).is_none() => Err(unknown_tool()),
            Some(_) => {
                let mut result = result(Err(requests::not_an_object().into()));
                result.result_type = result.result_type.filter(|_| mcp_transport::is_modern(&context));
                Ok(CustomResult::new(serde_json::to_value(result).unwrap_or_default()))
            }
            None => Err(ErrorData::invalid_params("params must name a tool: {name, arguments}", None)),
        }
    }
}

/// A protocol error, as the specification wants it. Like every other it repeats nothing of the request: rmcp logs it.
fn unknown_tool() -> ErrorData {
    ErrorData::invalid_params("unknown tool: tools/list has those that there are", None)
}

fn reply(result: &impl Serialize) -> Result<Reply, ApiError> {
    Reply::of(result).map_err(|error| {
        tracing::error!(%error, "a result is not JSON");
        ApiError::Internal
    })
}

fn result(answer: Result<Reply, ApiError>) -> CallToolResult {
    match answer {
        Ok(reply) => reply.success(),
        Err(error) => Reply::of(&Failure::from(error)).unwrap_or_default().failure(),
    }
}
