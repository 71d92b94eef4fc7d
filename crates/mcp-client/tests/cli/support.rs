//! A server with a tool of each kind, and the program itself.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use clap::Parser;
use mcp_transport::{NetworkServer, NetworkSettings, Subscriber, Subscribers};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult,
        CompletionInfo, ContentBlock, GetPromptRequestParams, GetPromptResponse, GetPromptResult,
        Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ProgressNotificationParam, Prompt, PromptArgument, PromptMessage,
        ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource, ResourceContents,
        ResourceTemplate, Role, ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter,
        Tool, ToolAnnotations,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    runtime::Runtime,
    sync::Notify,
    time::timeout,
};

/// Longest wait for anything that must happen. Nothing takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what must happen.
pub async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event).await.expect("this should have happened long ago")
}

/// What the server was asked, on whichever connection.
#[derive(Clone, Default)]
pub struct Seen(Arc<Events>);

#[derive(Default)]
struct Events {
    calls: AtomicUsize,
    lists: AtomicUsize,
    waiting: Notify,
    cancelled: Notify,
    subscribers: Subscribers,
}

/// One session's.
struct Handler {
    seen: Seen,
    subscriber: Subscriber,
}

impl Seen {
    pub fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// Those who listen.
    pub fn subscribers(&self) -> &Subscribers {
        &self.0.subscribers
    }

    /// How often the tools were listed.
    pub fn lists(&self) -> usize {
        self.0.lists.load(Ordering::SeqCst)
    }

    /// A call of `wait` has begun.
    pub async fn waiting(&self) {
        soon(self.0.waiting.notified()).await;
    }

    /// A call of `wait` was cancelled.
    pub async fn cancelled(&self) {
        soon(self.0.cancelled.notified()).await;
    }
}

fn tool(name: &'static str, description: &'static str, schema: Value) -> Tool {
    Tool::new(name, description, schema.as_object().cloned().unwrap_or_default())
}

fn tools() -> Vec<Tool> {
    let message = json!({"type": "object", "properties": {"message": {"type": "string", "examples": ["hi"]}}, "required": ["message"]});
    let numbers = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 1}}, "required": ["a"]});
    let none = json!({"type": "object"});
    let read_only = ToolAnnotations::new().read_only(true);
    let header = json!({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}, "required": ["region"]});
    vec![
        tool("echo", "Says it back.", message).with_annotations(read_only.clone()),
        tool("add", "Adds.\x1b[31m", numbers).with_annotations(ToolAnnotations::new().destructive(true)),
        tool("route", "Wants an argument as a header too.", header),
        tool("fail", "Fails.", none.clone()),
        tool("wait", "Waits until it is cancelled.", none.clone()),
        tool("steps", "Reports progress.", none.clone()),
        tool("image", "Gives an image.", none.clone()),
        tool("escape", "Tries to paint the terminal.", none.clone()),
        tool("structured", "Gives JSON.", none).with_annotations(read_only),
    ]
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let offers = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_prompts()
            .enable_completions()
            .build();
        ServerConfig::new(offers)
            .with_server_info(Implementation::new("scripted", "1.2.3"))
            .with_instructions("Be kind.")
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.seen.0.lists.fetch_add(1, Ordering::SeqCst);
        Ok(ListToolsResult::with_all_items(tools()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.seen.0.calls.fetch_add(1, Ordering::SeqCst);
        let arguments = request.arguments.unwrap_or_default();
        let text = match &*request.name {
            "echo" => match arguments.get("message").and_then(Value::as_str) {
                Some(message) => format!("Echo: {message}"),
                None => return Err(ErrorData::invalid_params("message is missing", None)),
            },
            "add" => {
                let number = |name: &str| arguments.get(name).and_then(Value::as_i64).unwrap_or(1);
                (number("a") + number("b")).to_string()
            }
            "route" => format!("routed to {}", arguments["region"]),
            "fail" => return Ok(CallToolResult::error(vec![ContentBlock::text("it broke")]).into()),
            "wait" => {
                self.seen.0.waiting.notify_one();
                context.ct.cancelled().await;
                self.seen.0.cancelled.notify_one();
                String::new()
            }
            "steps" => {
                if let Some(token) = context.meta.get_progress_token() {
                    for step in 1..=3 {
                        let report =
                            ProgressNotificationParam::new(token.clone(), f64::from(step)).with_total(3.0);
                        let _ = context.peer.notify_progress(report).await;
                    }
                }
                "done".to_owned()
            }
            "image" => {
                return Ok(CallToolResult::success(vec![ContentBlock::image("aGVsbG8=", "image/png")]).into());
            }
            "escape" => "\x1b[2J\x1b]0;gotcha\x07text\u{9b}31m".to_owned(),
            "structured" => return Ok(CallToolResult::structured(json!({"answer": 42})).into()),
            _ => return Err(ErrorData::invalid_params("unknown tool", None)),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![
            Resource::new("test://text", "text"),
            Resource::new("test://blob", "blob"),
        ]))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(vec![ResourceTemplate::new("test://{id}", "any")]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let contents = match request.uri.as_str() {
            "test://text" => ResourceContents::text("a resource", &request.uri),
            "test://blob" => ResourceContents::blob("AAEC/w==", &request.uri),
            _ => return Err(ErrorData::resource_not_found("there is no such resource", None)),
        };
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let name = PromptArgument::new("name").with_required(true);
        Ok(ListPromptsResult::with_all_items(vec![Prompt::new("greet", Some("Greets."), Some(vec![name]))]))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        match (request.name.as_str(), arguments.get("name").and_then(|name| name.as_str())) {
            ("greet", Some(name)) => {
                let message = PromptMessage::new_text(Role::User, format!("Say hello to {name}"));
                Ok(GetPromptResult::new(vec![message]).into())
            }
            _ => Err(ErrorData::invalid_params("no such prompt, or no name", None)),
        }
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let all = ["anna", "annika", "bert"].map(str::to_owned);
        let values = all.into_iter().filter(|name| name.starts_with(&request.argument.value)).collect();
        let info = CompletionInfo::new(values).map_err(|error| ErrorData::internal_error(error, None))?;
        Ok(CompleteResult::new(info))
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscriber.subscribe(request.uri)
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.subscriber.join(context.peer);
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, stream: SubscriptionContext) -> Result<(), ErrorData> {
        self.subscriber.listen(stream).await
    }
}

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    network: NetworkSettings,
}

/// A server with all network transports, in threads of its own.
pub struct Server {
    pub port: u16,
    pub seen: Seen,
    runtime: Option<Runtime>,
}

impl Server {
    pub fn start() -> Self {
        Self::with(&[])
    }

    pub fn with_key(key: &str) -> Self {
        Self::with(&["--mcp-api-key", key])
    }

    fn with(flags: &[&str]) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let settings = Settings::parse_from([&["server"], flags].concat()).network;
        let seen = Seen::default();
        let (handler, (bound, port)) = (seen.clone(), std::sync::mpsc::channel());
        runtime.spawn(async move {
            let server = NetworkServer::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, &settings).await.unwrap();
            bound.send(server.local_addr().port()).unwrap();
            let session =
                move || Handler { seen: handler.clone(), subscriber: handler.subscribers().session() };
            server.serve(session, std::future::pending()).await;
        });
        Self { port: port.recv().unwrap(), seen, runtime: Some(runtime) }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An address where nothing listens.
pub async fn nowhere() -> String {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    format!("127.0.0.1:{port}")
}

/// Takes connections and never says a word. It lives as long as the listener.
pub async fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// How the program ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// The one JSON document on standard output.
    pub fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "one document: {self:?}");
        serde_json::from_str(&self.out).unwrap()
    }

    /// The JSON documents on standard output, one a line.
    pub fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The program with a home of its own and nothing else in its environment.
pub struct Program {
    pub home: TempDir,
    variables: Vec<(String, String)>,
}

impl Program {
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A file in its home.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-client"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.home.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Runs it to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.start(arguments)).await
    }
}

/// Waits for the end of a program.
pub async fn ended(child: Child) -> Ended {
    let output = soon(child.wait_with_output()).await.unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the program once.
pub async fn run(arguments: &[&str]) -> Ended {
    Program::new().run(arguments).await
}

/// A server of the older era in shell. `called` is what it does for a call.
pub fn shell_server(called: &str) -> String {
    format!(
        r#"
while read -r line; do
    id=${{line#*\"id\":}}; id=${{id%%[,\}}]*}}
    answer() {{ printf '{{"jsonrpc":"2.0","id":%s,%s}}\n' "$id" "$1"; }}
    case $line in
        *'"server/discover"'*) answer '"error":{{"code":-32601,"message":"Method not found"}}';;
        *'"initialize"'*) answer '"result":{{"protocolVersion":"2025-11-25","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"shell","version":"1"}}}}';;
        *'"tools/list"'*) answer '"result":{{"tools":[{{"name":"run","inputSchema":{{"type":"object"}}}}]}}';;
        *'"tools/call"'*) {called};;
    esac
done"#
    )
}

/// An answer of [`shell_server`] with this text, which the shell expands.
pub fn says(text: &str) -> String {
    format!(r#"answer "\"result\":{{\"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}]}}""#)
}
