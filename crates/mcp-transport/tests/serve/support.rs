//! A server of known tools on a free port.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use mcp_transport::{
    Change, ClientLog, NetworkServer, NetworkSettings, Subscriber, Subscribers, unknown_cursor,
};
use reqwest::{Client, RequestBuilder, Response};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
        ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, Resource,
        ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter, Tool,
        UnsubscribeRequestParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// Longest wait for anything that must happen. Nothing takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);
/// What every modern request carries.
pub const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
pub const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
pub const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Waits for what must happen.
pub async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event).await.expect("this should have happened long ago")
}

/// What the tools of all sessions share.
#[derive(Default)]
pub struct Events {
    pub waiting: Notify,
    pub cancelled: Notify,
    /// Lets `hold` answer.
    pub release: Notify,
    pub subscribers: Subscribers,
}

/// One session. `echo` answers, `panic` does not, `wait` waits to be cancelled, `hold` to be released, `chatter` sends progress
/// without end, `change` changes the resource `test://a` and the list of tools.
pub struct Tools {
    events: Arc<Events>,
    subscriber: Subscriber,
    log: ClientLog,
}

impl Tools {
    pub fn new(events: &Arc<Events>) -> Self {
        Self { events: events.clone(), subscriber: events.subscribers.session(), log: ClientLog::default() }
    }
}

fn text(text: impl Into<String>) -> Result<CallToolResponse, ErrorData> {
    Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new("tested", "1"))
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        if page.is_some_and(|page| page.cursor.is_some()) {
            return Err(unknown_cursor());
        }
        let schema = Arc::new(json!({ "type": "object" }).as_object().cloned().unwrap());
        Ok(ListToolsResult::with_all_items(vec![Tool::new("echo", "Gives the message back", schema)]))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![Resource::new("test://a", "a")]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let events = &self.events;
        match &*request.name {
            "panic" => panic!("on purpose"),
            "wait" => {
                events.waiting.notify_one();
                context.ct.cancelled().await;
                events.cancelled.notify_one();
                text("cancelled")
            }
            "hold" => {
                events.waiting.notify_one();
                events.release.notified().await;
                text("released")
            }
            "chatter" => {
                events.waiting.notify_one();
                let token = context.meta.get_progress_token().unwrap();
                let message = "x".repeat(16 * 1024);
                let mut count = 0.0;
                while !context.ct.is_cancelled() {
                    count += 1.0;
                    let progress =
                        ProgressNotificationParam::new(token.clone(), count).with_message(message.clone());
                    let sent = context.ct.run_until_cancelled(context.peer.notify_progress(progress)).await;
                    if !matches!(sent, Some(Ok(()))) {
                        break;
                    }
                }
                events.cancelled.notify_one();
                text("enough")
            }
            "change" => {
                events.subscribers.changed(&Change::Resource("test://a".to_owned()));
                events.subscribers.changed(&Change::Tools);
                text("changed")
            }
            "log" => {
                self.log.send(rmcp::model::LoggingLevel::Info, "tested", json!("hello"), &context).await;
                text("logged")
            }
            _ => text(
                request
                    .arguments
                    .unwrap_or_default()
                    .get("message")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
            ),
        }
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.subscriber.join(context.peer);
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscriber.subscribe(request.uri)
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscriber.unsubscribe(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, stream: SubscriptionContext) -> Result<(), ErrorData> {
        self.subscriber.listen(stream).await
    }
}

/// A server that runs until it is dropped, or stopped.
pub struct Server {
    pub address: SocketAddr,
    pub events: Arc<Events>,
    pub http: Client,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    network: NetworkSettings,
}

impl Server {
    pub async fn start(arguments: &[&str]) -> Self {
        let settings = Settings::parse_from(["test"].iter().chain(arguments)).network;
        let server = NetworkServer::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, &settings).await.unwrap();
        let address = server.local_addr();
        let (events, stop) = (Arc::new(Events::default()), CancellationToken::new());
        let (shared, stopped) = (events.clone(), stop.clone());
        let make = move || Tools::new(&shared);
        let serving = tokio::spawn(async move { server.serve(make, stopped.cancelled_owned()).await });
        Self { address, events, http: Client::new(), stop, serving }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn post(&self, path: &str, body: impl Into<String>) -> RequestBuilder {
        let request = self.http.post(self.url(path)).header("content-type", "application/json");
        request.header("accept", "application/json, text/event-stream").body(body.into())
    }

    /// A request of 2026-07-28.
    pub fn modern(&self, id: u32, method: &str, name: Option<&str>, params: &str) -> RequestBuilder {
        let comma = if params.is_empty() { "" } else { "," };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{comma}{META}}}}}"#
        );
        let request =
            self.post("/mcp", body).header("mcp-protocol-version", "2026-07-28").header("mcp-method", method);
        match name {
            Some(name) => request.header("mcp-name", name),
            None => request,
        }
    }

    pub fn modern_call(&self, tool: &str) -> RequestBuilder {
        self.modern(
            1,
            "tools/call",
            Some(tool),
            &format!(r#""name":"{tool}","arguments":{{"message":"hi"}}"#),
        )
    }

    /// Opens a session of 2025-11-25 and gives its id.
    pub async fn session(&self) -> String {
        let answer = soon(self.post("/mcp", INITIALIZE).send()).await.unwrap();
        assert_eq!(answer.status(), 200);
        let id = answer.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        drop(answer.bytes().await.unwrap());
        let told = soon(self.in_session(&id, INITIALIZED).send()).await.unwrap();
        assert_eq!(told.status(), 202);
        id
    }

    pub fn in_session(&self, id: &str, body: impl Into<String>) -> RequestBuilder {
        self.post("/mcp", body).header("mcp-session-id", id).header("mcp-protocol-version", "2025-11-25")
    }

    /// Tells the server to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until it has stopped.
    pub async fn stopped(self) {
        soon(self.serving).await.unwrap();
    }
}

/// A call of 2025-11-25.
pub fn call(id: u32, tool: &str) -> String {
    json!({
        "jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": { "name": tool, "arguments": { "message": "hi" }, "_meta": { "progressToken": id } },
    })
    .to_string()
}

/// The last message of a response, whether it is JSON or a stream of events.
pub async fn message(response: Response) -> Value {
    let text = soon(response.text()).await.unwrap();
    let last =
        text.lines().rev().find_map(|line| line.strip_prefix("data: ").filter(|data| data.starts_with('{')));
    serde_json::from_str(last.unwrap_or(&text)).unwrap_or_else(|_| panic!("no message: {text}"))
}
