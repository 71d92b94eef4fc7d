//! Tool calls: from the arguments to the messenger, and from its answers to results.

use std::time::Instant;

use futures_util::future::{OptionFuture, join3};
use mcp_tools::{Arguments, Reply};
use mcp_transport::{ClientLog, caller, is_modern};
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CreateTaskResult, InputRequiredResult,
        JsonObject, ProgressNotificationParam, Task,
    },
    service::RequestContext,
};
use serde::Serialize;
use serde_json::Value;
use telemetry::TraceParent;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::{
    Delivery, Failure, Message, MessengerServer, Mode, Stage, arguments,
    asking::{Asked, Returned},
    journal::{Journal, MAX_STAGES},
    results::{HistoryResult, SentResult, StatisticsResult},
    tasks::{End, Handle},
    tools::ToolName,
};

/// Pieces of an answer that wait for a slow client; the stream from server-b waits then too.
const MAX_WAITING_PIECES: usize = 16;

/// Why a call has no result.
pub(crate) enum Refusal {
    /// The model that called is to read it: a result with `isError`.
    Failure(Failure),
    /// The client did something wrong: an error of the protocol.
    Protocol(ErrorData),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// What a call is answered with, if all goes well.
enum Answer {
    Reply(Reply),
    Question(Box<InputRequiredResult>),
    Task(Box<Task>),
}

/// One call of a tool.
pub(crate) struct Call<'c> {
    pub(crate) server: &'c MessengerServer,
    pub(crate) log: &'c ClientLog,
    pub(crate) context: &'c RequestContext<RoleServer>,
}

impl Call<'_> {
    /// Answers the call.
    pub(crate) async fn answer(&self, request: CallToolRequestParams) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = ToolName::find(&request.name) else { return Err(unknown_tool()) };
        let line = CallLine { tool: request.name.to_string(), trace: self.trace(), started: Instant::now() };
        let arguments = Arguments::new(request.arguments);
        let returned = Returned { tool, state: request.request_state, responses: request.input_responses };
        let answer = match tool {
            ToolName::Send | ToolName::SendStream => self.send(arguments, returned, &line).await,
            reading => self.read(reading, arguments).await.map(Answer::Reply).map_err(Refusal::Failure),
        };
        match answer {
            Ok(Answer::Reply(reply)) => {
                line.write(None);
                Ok(result(Ok(reply)).into())
            }
            Ok(Answer::Question(question)) => Ok((*question).into()),
            Ok(Answer::Task(task)) => Ok(CreateTaskResult::new(*task).into()),
            Err(Refusal::Failure(failure)) => {
                line.write(Some(&failure));
                Ok(result(Err(failure)).into())
            }
            Err(Refusal::Protocol(error)) => Err(error),
        }
    }

    async fn send(
        &self,
        arguments: Arguments,
        returned: Returned,
        line: &CallLine,
    ) -> Result<Answer, Refusal> {
        let tool = returned.tool;
        let message = arguments::message(arguments)?;
        let messenger = self.server.messenger().await;
        // Before it takes a place: a user may think for minutes.
        let settling = self.server.asking().settle(messenger, message, returned, self.context);
        let settled = self.context.ct.run_until_cancelled(settling).await;
        let message = match settled.unwrap_or_else(|| Err(Failure::cancelled().into()))? {
            Asked::Settled(message) => message,
            Asked::Open(question) => return Ok(Answer::Question(question)),
        };
        let place = self.server.place()?;
        // Without room for a task it is answered here and now, like any other.
        let task = if self.wants_task(tool) { self.server.tasks().begin(caller(self.context)) } else { None };
        let Some((task, handle)) = task else {
            return Ok(Answer::Reply(self.deliver(tool, message, line.trace).await?));
        };
        let work = Work { server: self.server.clone(), message, line: line.clone(), _place: place };
        self.server.tasks().run(handle, |handle| work.run(handle));
        Ok(Answer::Task(Box::new(task)))
    }

    /// Whether the answer is to be fetched later: the client knows how, the answer may take long, and nobody watches it come.
    fn wants_task(&self, tool: ToolName) -> bool {
        tool == ToolName::SendStream
            && is_modern(self.context)
            && self.context.meta.get_progress_token().is_none()
            && self.context.client_capabilities().is_some_and(|capabilities| capabilities.supports_tasks())
    }

    async fn deliver(&self, tool: ToolName, message: Message, trace: TraceParent) -> Result<Reply, Failure> {
        let text = message.request.message.clone();
        let (stages, steps) = mpsc::channel(MAX_STAGES);
        let (mode, pieces) = self.mode(tool);
        let delivery = Delivery { cancelled: self.context.ct.clone(), trace, mode, stages: Some(stages) };
        let messenger = self.server.messenger().await;
        let journal = Journal { log: self.log, context: self.context };
        let pieces = OptionFuture::from(pieces.map(|pieces| self.report(pieces)));
        let (sent, _, ()) = join3(messenger.send(message, delivery), pieces, journal.follow(steps)).await;
        journal.end(&sent).await;
        reply(&SentResult::new(text, sent?))
    }

    fn mode(&self, tool: ToolName) -> (Mode, Option<mpsc::Receiver<String>>) {
        if tool != ToolName::SendStream {
            return (Mode::Whole, None);
        }
        if self.context.meta.get_progress_token().is_none() {
            return (Mode::Streamed(None), None);
        }
        let (pieces, waiting) = mpsc::channel(MAX_WAITING_PIECES);
        (Mode::Streamed(Some(pieces)), Some(waiting))
    }

    /// Sends each piece as a progress notification, until there are no more.
    async fn report(&self, mut pieces: mpsc::Receiver<String>) {
        let context = self.context;
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

    async fn read(&self, tool: ToolName, arguments: Arguments) -> Result<Reply, Failure> {
        let _place = self.server.place()?;
        let messenger = self.server.messenger().await;
        if tool == ToolName::History {
            return reply(&HistoryResult::new(messenger.history(arguments::history(arguments)?).await?));
        }
        arguments::nothing(arguments)?;
        let about = async {
            match tool {
                ToolName::Health => reply(&messenger.health().await?),
                ToolName::Models => reply(&messenger.models().await?),
                ToolName::ServerBConfig => reply(&messenger.config().await?),
                _ => reply(&StatisticsResult::new(&messenger.totals().await?)),
            }
        };
        let cancelled = self.context.ct.run_until_cancelled(about).await;
        cancelled.unwrap_or_else(|| Err(Failure::cancelled()))
    }

    /// The trace that the client names, or a new one.
    fn trace(&self) -> TraceParent {
        let named = self.context.meta.get_traceparent().and_then(|text| text.parse().ok());
        named.unwrap_or_else(TraceParent::start)
    }
}

/// A message whose answer is fetched later.
struct Work {
    server: MessengerServer,
    message: Message,
    line: CallLine,
    /// It counts as a call for as long as it runs.
    _place: OwnedSemaphorePermit,
}

impl Work {
    async fn run(self, task: Handle) -> End {
        let text = self.message.request.message.clone();
        let (stages, steps) = mpsc::channel(MAX_STAGES);
        let (pieces, waiting) = mpsc::channel(MAX_WAITING_PIECES);
        let delivery = Delivery {
            cancelled: task.cancelled.clone(),
            trace: self.line.trace,
            mode: Mode::Streamed(Some(pieces)),
            stages: Some(stages),
        };
        let messenger = self.server.messenger().await;
        let sending = messenger.send(self.message, delivery);
        let (sent, (), ()) = join3(sending, count(waiting, &task), follow(steps, &task)).await;
        let answer = sent.and_then(|sent| reply(&SentResult::new(text, sent)));
        self.line.write(answer.as_ref().err());
        match answer {
            Err(_) if task.cancelled.is_cancelled() => End::Cancelled,
            answer => End::Result(object(&result(answer))),
        }
    }
}

/// Says how much of the answer has come.
async fn count(mut pieces: mpsc::Receiver<String>, task: &Handle) {
    let mut characters = 0;
    while let Some(piece) = pieces.recv().await {
        characters += piece.chars().count();
        task.status(format!("{characters} characters of the answer have come"));
    }
}

/// Says how the attempts go.
async fn follow(mut stages: mpsc::Receiver<Stage>, task: &Handle) {
    while let Some(stage) = stages.recv().await {
        task.status(match stage {
            Stage::Sent(attempt) => format!("sent to Server B, attempt {attempt}"),
            Stage::Waiting { attempt, code, .. } => {
                format!("attempt {attempt} failed ({code}), trying again")
            }
        });
    }
}

/// One line of the log for every call. The trace's id finds it, the attempts, and server-b's lines again.
#[derive(Clone)]
struct CallLine {
    tool: String,
    trace: TraceParent,
    started: Instant,
}

impl CallLine {
    fn write(&self, failure: Option<&Failure>) {
        let duration_ms = self.started.elapsed().as_millis();
        let (tool, id) = (&self.tool, self.trace.trace_id());
        match failure {
            None => tracing::info!(tool.name = tool, trace.id = id, duration_ms, "call answered"),
            Some(failure) => {
                let code = &failure.code;
                tracing::warn!(
                    tool.name = tool,
                    trace.id = id,
                    duration_ms,
                    error.code = code,
                    "call failed"
                );
            }
        }
    }
}

/// A protocol error, as the specification wants it. Like every other it repeats nothing of the request: rmcp logs it.
pub(crate) fn unknown_tool() -> ErrorData {
    ErrorData::invalid_params("unknown tool: tools/list has those that there are", None)
}

/// The result for arguments that are not even an object.
pub(crate) fn shapeless_arguments() -> CallToolResult {
    result(Err(Failure::shape("arguments", "must be an object")))
}

fn reply(result: &impl Serialize) -> Result<Reply, Failure> {
    Reply::of(result).map_err(|error| {
        tracing::error!(%error, "a result is not JSON");
        Failure::internal()
    })
}

fn result(answer: Result<Reply, Failure>) -> CallToolResult {
    match answer {
        Ok(reply) => reply.success(),
        Err(failure) => Reply::of(&failure).unwrap_or_default().failure(),
    }
}

fn object(result: &CallToolResult) -> JsonObject {
    match serde_json::to_value(result) {
        Ok(Value::Object(object)) => object,
        _ => JsonObject::new(),
    }
}
