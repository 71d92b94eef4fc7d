//! A server whose tools do what tests want to see.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use mcp_transport::{Change, Subscriber, Subscribers, is_modern};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, CompleteRequestParams,
        CompleteResult, CompletionInfo, ContentBlock, CreateTaskResult, GetPromptRequestParams,
        GetPromptResponse, GetPromptResult, GetTaskParams, GetTaskResult, Implementation, InputRequest,
        InputRequests, InputRequiredResult, ListPromptsResult, ListResourcesResult, ListToolsResult,
        LoggingLevel, LoggingMessageNotificationParam, PaginatedRequestParams, ProgressNotificationParam,
        Prompt, PromptMessage, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource,
        ResourceContents, Role, ServerCapabilities, ServerConfig, SetLevelRequestParams,
        SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
    task_manager::{TaskExit, TaskManager, TaskOptions},
};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

type Context = RequestContext<RoleServer>;
type Page = Option<PaginatedRequestParams>;

/// What the sessions of one server share.
#[derive(Default)]
pub struct State {
    /// How many tools there are, ten on a page.
    pub tools: AtomicUsize,
    /// Pages of tools that were asked for.
    pub pages: AtomicUsize,
    /// Pages have no end.
    pub endless: AtomicUsize,
    pub calls: AtomicUsize,
    /// A call of `wait` has begun.
    pub waiting: Notify,
    /// A call of `wait` was cancelled.
    pub cancelled: Notify,
    /// Ends a call of `wait`.
    pub release: Notify,
    /// Steps that `steps` may go.
    pub step: Notify,
    pub level: watch::Sender<Option<LoggingLevel>>,
    pub subscribed: watch::Sender<Vec<String>>,
    pub subscribers: Subscribers,
    pub tasks: TaskManager,
    /// How often a task was to be cancelled.
    pub cancellations: AtomicUsize,
    /// Tasks cannot be asked for: why.
    pub overloaded: Mutex<Option<ErrorData>>,
}

impl State {
    pub fn session(self: &Arc<Self>) -> Fixture {
        Fixture { state: self.clone(), subscriber: self.subscribers.session() }
    }

    /// There are so many tools now.
    pub fn offer(&self, tools: usize) {
        self.tools.store(tools, Ordering::SeqCst);
        self.subscribers.changed(&Change::Tools);
    }
}

/// One session.
pub struct Fixture {
    state: Arc<State>,
    subscriber: Subscriber,
}

impl Fixture {
    async fn call(
        &self,
        request: &CallToolRequestParams,
        context: &Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = json!(request.arguments);
        let text = match &*request.name {
            "echo" => arguments["text"].as_str().unwrap_or_default().to_owned(),
            "wait" => {
                self.state.waiting.notify_one();
                tokio::select! {
                    () = context.ct.cancelled() => self.state.cancelled.notify_one(),
                    () = self.state.release.notified() => {}
                }
                "waited".to_owned()
            }
            "steps" => {
                let token = context.meta.get_progress_token().unwrap();
                for step in 1..=3 {
                    let progress = ProgressNotificationParam::new(token.clone(), f64::from(step));
                    context.peer.notify_progress(progress.with_total(3.0)).await.unwrap();
                    self.state.step.notified().await;
                }
                "stepped".to_owned()
            }
            "log" => {
                let line = LoggingMessageNotificationParam::new(LoggingLevel::Error, json!("a line"));
                if !is_modern(context) || context.meta.log_level().is_some() {
                    context.peer.notify_logging_message(line).await.unwrap();
                }
                format!("{:?}", context.meta.log_level())
            }
            "change" => {
                self.state.offer(1);
                "changed".to_owned()
            }
            "big" => "x".repeat(arguments["bytes"].as_u64().unwrap().try_into().unwrap()),
            "ask" => return self.ask(request, context).await,
            "task" => return Ok(self.task(&arguments).into()),
            "endless" => return Ok(wanted(question(json!("again")), "state").into()),
            "patience" => match request.request_state.as_deref() {
                Some("two") => "patient".to_owned(),
                Some(_) => return Ok(InputRequiredResult::from_request_state("two").into()),
                None => return Ok(InputRequiredResult::from_request_state("one").into()),
            },
            "exit" => std::process::exit(7),
            _ => return Err(ErrorData::invalid_params("there is no such tool", None)),
        };
        Ok(said(text))
    }

    /// What a task does is what it is told.
    fn task(&self, arguments: &Value) -> CreateTaskResult {
        let (state, what) = (self.state.clone(), arguments["what"].as_str().unwrap().to_owned());
        let options = TaskOptions::new().with_poll_interval_ms(1);
        let task = self.state.tasks.spawn(options, move |context| {
            Box::pin(async move {
                context.set_status_message("begun");
                match &*what {
                    "ask" => {
                        let answer = context.request_input("key", question(json!("task"))).await?;
                        Ok(CallToolResult::success(vec![ContentBlock::text(answer.to_string())]))
                    }
                    "fail" => Err(TaskExit::Error(ErrorData::invalid_params("it cannot be done", None))),
                    _ => {
                        state.waiting.notify_one();
                        context.cancelled().await;
                        state.cancelled.notify_one();
                        Err(TaskExit::Cancelled)
                    }
                }
            })
        });
        CreateTaskResult::new(task)
    }

    /// Asks the user for a name, in the way of the era.
    async fn ask(
        &self,
        request: &CallToolRequestParams,
        context: &Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let message = json!(request.arguments)["message"].clone();
        if is_modern(context) {
            let Some(answers) = &request.input_responses else {
                return Ok(wanted(question(message), "a state").into());
            };
            return Ok(said(format!(
                "{} with {}",
                answers["key"]["content"]["name"].as_str().unwrap(),
                request.request_state.as_deref().unwrap()
            )));
        }
        let InputRequest::Elicitation(question) = question(message) else { unreachable!() };
        let answer = context.peer.create_elicitation(question.params).await;
        Ok(said(match answer {
            Ok(answer) => json!(answer.content)["name"].as_str().unwrap().to_owned(),
            Err(error) => error.to_string(),
        }))
    }
}

fn question(message: Value) -> InputRequest {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
    let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
    serde_json::from_value(json!({"method": "elicitation/create", "params": params})).unwrap()
}

fn wanted(question: InputRequest, state: &str) -> InputRequiredResult {
    InputRequiredResult::new(
        Some(InputRequests::from([("key".to_owned(), question)])),
        Some(state.to_owned()),
    )
}

fn said(text: String) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_logging()
            .enable_prompts()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_resources_list_changed()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_tasks()
            .build();
        let implementation = Implementation::new("fixture", "1");
        ServerConfig::new(capabilities).with_server_info(implementation).with_instructions("be kind")
    }

    async fn list_tools(&self, page: Page, _: Context) -> Result<ListToolsResult, ErrorData> {
        self.state.pages.fetch_add(1, Ordering::SeqCst);
        let start = page.and_then(|page| page.cursor).map_or(0, |cursor| cursor.parse().unwrap());
        let tools = self.state.tools.load(Ordering::SeqCst);
        let here = (start..tools.min(start + 10))
            .map(|number| Tool::new(format!("tool-{number}"), "", Arc::default()));
        let mut result = ListToolsResult::with_all_items(here.collect());
        result.next_cursor = match self.state.endless.load(Ordering::SeqCst) {
            0 => (start + 10 < tools).then(|| (start + 10).to_string()),
            1 => Some("7".to_owned()),
            _ => Some((start + 1).to_string()),
        };
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        self.state.calls.fetch_add(1, Ordering::SeqCst);
        self.call(&request, &context).await
    }

    async fn list_prompts(&self, _: Page, _: Context) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(vec![Prompt::new("greet", Some("greets"), None)]))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        if request.name == "ask" && request.input_responses.is_none() {
            return Ok(wanted(question(json!("prompt")), "state").into());
        }
        let text = json!({"arguments": request.arguments, "answers": request.input_responses}).to_string();
        Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).into())
    }

    async fn list_resources(&self, _: Page, _: Context) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![Resource::new("test://one", "one")]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if request.uri == "test://ask" && request.input_responses.is_none() {
            return Ok(wanted(question(json!("resource")), "state").into());
        }
        let text = format!("{:?}", request.request_state);
        Ok(ReadResourceResult::new(vec![ResourceContents::text(text, request.uri)]).into())
    }

    async fn complete(&self, _: CompleteRequestParams, _: Context) -> Result<CompleteResult, ErrorData> {
        Ok(CompleteResult::new(CompletionInfo::new(vec!["completed".to_owned()]).unwrap()))
    }

    async fn set_level(&self, request: SetLevelRequestParams, _: Context) -> Result<(), ErrorData> {
        self.state.level.send_replace(Some(request.level));
        Ok(())
    }

    async fn subscribe(&self, request: SubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        self.state.subscribed.send_modify(|uris| uris.push(request.uri.clone()));
        self.subscriber.subscribe(request.uri)
    }

    async fn unsubscribe(&self, request: UnsubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        self.subscriber.unsubscribe(&request.uri);
        Ok(())
    }

    async fn get_task(&self, request: GetTaskParams, _: Context) -> Result<GetTaskResult, ErrorData> {
        if let Some(error) = self.state.overloaded.lock().unwrap().clone() {
            return Err(error);
        }
        self.state.tasks.get_task(&request.task_id).map(GetTaskResult::new)
    }

    async fn update_task(&self, request: UpdateTaskParams, _: Context) -> Result<(), ErrorData> {
        self.state.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(&self, request: CancelTaskParams, _: Context) -> Result<(), ErrorData> {
        self.state.cancellations.fetch_add(1, Ordering::SeqCst);
        self.state.tasks.cancel_task(&request.task_id)
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.subscriber.join(context.peer);
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, stream: SubscriptionContext) -> Result<(), ErrorData> {
        let uris = stream.accepted().resource_subscriptions.clone().unwrap_or_default();
        self.state.subscribed.send_modify(|subscribed| subscribed.extend(uris));
        self.subscriber.listen(stream).await
    }
}
