//! The MCP side: translates tool calls for the messenger, and its answers back.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures_util::{FutureExt as _, future::join};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestMethod, CallToolRequestParams, CallToolResponse, CallToolResult,
        ConstString as _, ContentBlock, CustomRequest, CustomResult, DiscoverResult, ErrorCode,
        Implementation, ListToolsResult, MetaObject, PaginatedRequestParams, ProgressNotificationParam,
        ProtocolVersion, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde::Serialize;
use serde_json::Value;
use telemetry::TraceParent;
use tokio::sync::{Semaphore, SetOnce, mpsc};

use crate::{
    Delivery, Failure, Messenger, Mode,
    arguments::Arguments,
    results::{HistoryResult, SentResult, StatisticsResult},
    tools::{TOOLS, ToolName},
};

/// Calls that are answered at the same time; more get a failure that says so.
const MAX_CALLS: usize = 64;
/// Pieces of an answer that wait for a slow client; the stream from server-b waits then too.
const MAX_WAITING_PIECES: usize = 16;
/// How long a client may keep the list of tools: it changes only with the program.
const LIST_TTL_MS: u64 = 5 * 60 * 1_000;
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
const INSTRUCTIONS: &str = "Sends messages to AI models through Server B and keeps the conversations. Start with \
    send_message_to_ai; pass the conversationId of its result as conversation_id to continue. Every result tells tokens \
    and cost. When a call fails, its hint says what to do; check_server_b_health tells whether Server B runs.";

/// The messenger as an MCP server. Clones are the same server.
#[derive(Clone)]
pub struct MessengerServer(Arc<Shared>);

struct Shared {
    /// Calls wait for it.
    messenger: SetOnce<Messenger>,
    places: Semaphore,
    identity: Value,
}

/// A result in both of its forms.
type Reply = (Value, String);

impl MessengerServer {
    /// The MCP server of this messenger.
    #[must_use]
    pub fn new(messenger: Messenger) -> Self {
        let server = Self::starting();
        server.start(messenger);
        server
    }

    /// An MCP server that answers handshakes already, and calls once it is started.
    #[must_use]
    pub fn starting() -> Self {
        let identity = serde_json::to_value(implementation()).unwrap_or_default();
        let (messenger, places) = (SetOnce::new(), Semaphore::new(MAX_CALLS));
        Self(Arc::new(Shared { messenger, places, identity }))
    }

    /// Lets the calls begin. Starting a second time changes nothing.
    pub fn start(&self, messenger: Messenger) {
        let _ = self.0.messenger.set(messenger);
    }

    /// Answers one call, whatever happens: a place is free or not, the tool panics or not.
    async fn answer(
        &self,
        tool: ToolName,
        arguments: Arguments,
        context: &RequestContext<RoleServer>,
        trace: TraceParent,
    ) -> Result<Reply, Failure> {
        let Ok(_place) = self.0.places.try_acquire() else { return Err(Failure::busy(MAX_CALLS)) };
        let call = async {
            match tool {
                ToolName::Send => self.send(arguments, context, trace).await,
                ToolName::SendStream => self.send_stream(arguments, context, trace).await,
                reading => self.read(reading, arguments, context).await,
            }
        };
        guarded(call).await
    }

    async fn send(
        &self,
        arguments: Arguments,
        context: &RequestContext<RoleServer>,
        trace: TraceParent,
    ) -> Result<Reply, Failure> {
        let message = arguments.message()?;
        let text = message.request.message.clone();
        let delivery = Delivery { cancelled: context.ct.clone(), trace, mode: Mode::Whole };
        let sent = self.0.messenger.wait().await.send(message, delivery).await?;
        reply(&SentResult::new(text, sent))
    }

    async fn send_stream(
        &self,
        arguments: Arguments,
        context: &RequestContext<RoleServer>,
        trace: TraceParent,
    ) -> Result<Reply, Failure> {
        let message = arguments.message()?;
        let text = message.request.message.clone();
        let (pieces, waiting) = mpsc::channel(MAX_WAITING_PIECES);
        let mode = Mode::Streamed(context.meta.get_progress_token().is_some().then_some(pieces));
        let delivery = Delivery { cancelled: context.ct.clone(), trace, mode };
        let messenger = self.0.messenger.wait().await;
        let (sent, ()) = join(messenger.send(message, delivery), report(waiting, context)).await;
        reply(&SentResult::new(text, sent?))
    }

    async fn read(
        &self,
        tool: ToolName,
        arguments: Arguments,
        context: &RequestContext<RoleServer>,
    ) -> Result<Reply, Failure> {
        let messenger = self.0.messenger.wait().await;
        if tool == ToolName::History {
            return reply(&HistoryResult::new(messenger.history(arguments.history()?).await?));
        }
        arguments.finish()?;
        let about = async {
            match tool {
                ToolName::Health => reply(&messenger.health().await?),
                ToolName::Models => reply(&messenger.models().await?),
                ToolName::ServerBConfig => reply(&messenger.config().await?),
                _ => reply(&StatisticsResult::new(&messenger.totals().await?)),
            }
        };
        let cancelled = context.ct.run_until_cancelled(about).await;
        cancelled.unwrap_or_else(|| Err(Failure::cancelled()))
    }

    /// What results should carry since 2026-07-28: who answered.
    fn meta(&self, context: &RequestContext<RoleServer>) -> Option<MetaObject> {
        let modern = is_modern(context);
        modern.then(|| MetaObject([(SERVER_INFO.to_owned(), self.0.identity.clone())].into_iter().collect()))
    }
}

impl ServerHandler for MessengerServer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(implementation())
            .with_instructions(INSTRUCTIONS)
    }

    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let versions = self.supported_protocol_versions().into_owned();
        let mut discovered = DiscoverResult::from_server_info(versions, self.get_info());
        discovered.ttl_ms = LIST_TTL_MS;
        discovered.cache_scope = CacheScope::Public;
        Ok(discovered)
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        if page.is_some_and(|page| page.cursor.is_some()) {
            return Err(ErrorData::invalid_params("unknown cursor: the list has one page", None));
        }
        let mut list = ListToolsResult::with_all_items(TOOLS.clone());
        list.meta = self.meta(&context);
        if is_modern(&context) {
            list.ttl_ms = Some(LIST_TTL_MS);
            list.cache_scope = Some(CacheScope::Public);
        }
        Ok(list)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        TOOLS.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = ToolName::find(&request.name) else {
            return Err(unknown_tool());
        };
        let trace = trace_of(&context);
        let started = Instant::now();
        let answer = self.answer(tool, Arguments::new(request.arguments), &context, trace).await;
        log(&request.name, trace, &answer, started);
        Ok(result(answer, self.meta(&context)).into())
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
                let failure = Failure::shape("arguments", "must be an object");
                let mut result = result(Err(failure), self.meta(&context));
                result.result_type = result.result_type.filter(|_| is_modern(&context));
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

fn implementation() -> Implementation {
    Implementation::new("messenger-server", env!("CARGO_PKG_VERSION"))
        .with_title("Server A (Messenger)")
        .with_description(env!("CARGO_PKG_DESCRIPTION"))
}

fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

/// The trace that the client names, or a new one.
fn trace_of(context: &RequestContext<RoleServer>) -> TraceParent {
    let named = context.meta.get_traceparent().and_then(|text| text.parse().ok());
    named.unwrap_or_else(TraceParent::start)
}

/// Sends each piece as a progress notification, until there are no more.
async fn report(mut pieces: mpsc::Receiver<String>, context: &RequestContext<RoleServer>) {
    let Some(token) = context.meta.get_progress_token() else { return };
    let mut count = 0.0;
    while let Some(piece) = pieces.recv().await {
        count += 1.0;
        let progress = ProgressNotificationParam::new(token.clone(), count).with_message(piece);
        let sent = context.ct.run_until_cancelled(context.peer.notify_progress(progress)).await;
        if !matches!(sent, Some(Ok(()))) {
            return; // the client has gone, or does not want the answer any more
        }
    }
}

/// A panic must not leave the client without an answer. Its message and place are in the log already.
async fn guarded(call: impl Future<Output = Result<Reply, Failure>>) -> Result<Reply, Failure> {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|_| Err(Failure::internal()))
}

fn reply(result: &impl Serialize) -> Result<Reply, Failure> {
    let both = serde_json::to_value(result).and_then(|value| Ok((value, serde_json::to_string(result)?)));
    both.map_err(|error| {
        tracing::error!(%error, "a result is not JSON");
        Failure::internal()
    })
}

fn result(answer: Result<Reply, Failure>, meta: Option<MetaObject>) -> CallToolResult {
    let failed = answer.is_err();
    let (value, text) = answer.or_else(|failure| reply(&failure)).unwrap_or_default();
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(value);
    result.is_error = Some(failed);
    result.meta = meta;
    result
}

/// One line for every call. The trace's id finds it, the attempts, and server-b's lines again.
fn log(tool: &str, trace: TraceParent, answer: &Result<Reply, Failure>, started: Instant) {
    let duration_ms = started.elapsed().as_millis();
    let id = trace.trace_id();
    match answer {
        Ok(_) => tracing::info!(tool.name = tool, trace.id = id, duration_ms, "call answered"),
        Err(failure) => {
            let code = &failure.code;
            tracing::warn!(tool.name = tool, trace.id = id, duration_ms, error.code = code, "call failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tool_that_panics_is_answered_with_a_failure() {
        let failure = guarded(async { panic!("on purpose") }).await.unwrap_err();
        assert_eq!(&*failure.code, "internal_error");
    }
}
