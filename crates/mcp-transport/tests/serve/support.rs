//! A handler whose tools misbehave on demand, and servers of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use mcp_transport::{NetworkServer, NetworkSettings, Subscriber, Subscribers, Timing};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
        InitializeRequestParams, InitializeResult, ListToolsResult, PaginatedRequestParams,
        ProgressNotificationParam, ServerCapabilities, ServerConfig, SubscribeRequestParams,
        SubscriptionFilter, Tool, UnsubscribeRequestParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// More than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that must happen.
pub async fn within<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event).await.expect("it did not happen in time")
}

/// What happens in the tools of one server, and what makes it happen.
pub struct State {
    /// Calls of `wait` that have begun.
    pub begun: watch::Sender<usize>,
    /// Calls of `wait` that were told that nobody wants their answer any more.
    pub cancelled: watch::Sender<usize>,
    /// Calls of `deaf` that are running.
    pub deaf: watch::Sender<usize>,
    /// Messages that `flood` has got rid of.
    pub flooded: watch::Sender<usize>,
    /// Handlers that were made.
    pub made: watch::Sender<usize>,
    /// Handlers that exist.
    pub handlers: watch::Sender<usize>,
    /// Lets one call of `wait` answer.
    pub release: Semaphore,
    pub subscribers: Subscribers,
}

impl State {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: watch::Sender::new(0),
            cancelled: watch::Sender::new(0),
            deaf: watch::Sender::new(0),
            flooded: watch::Sender::new(0),
            made: watch::Sender::new(0),
            handlers: watch::Sender::new(0),
            release: Semaphore::new(0),
            subscribers: Subscribers::default(),
        })
    }

    pub fn handler(self: &Arc<Self>) -> Handler {
        self.handlers.send_modify(|count| *count += 1);
        self.made.send_modify(|count| *count += 1);
        Handler { state: self.clone(), subscriber: self.subscribers.session() }
    }
}

/// Waits until a count is as it should be.
pub async fn reaches(count: &watch::Sender<usize>, expected: usize) {
    within(count.subscribe().wait_for(|count| *count == expected)).await.unwrap();
}

pub struct Handler {
    state: Arc<State>,
    subscriber: Subscriber,
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.state.handlers.send_modify(|count| *count -= 1);
    }
}

struct Counted<'a>(&'a watch::Sender<usize>);

impl<'a> Counted<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Handler {
    async fn call(&self, tool: &str, arguments: Value, context: &RequestContext<RoleServer>) -> String {
        match tool {
            "echo" => arguments["text"].as_str().unwrap_or_default().to_owned(),
            "panic" => panic!("on purpose"),
            "wait" => {
                self.state.begun.send_modify(|count| *count += 1);
                tokio::select! {
                    () = context.ct.cancelled() => {
                        self.state.cancelled.send_modify(|count| *count += 1);
                        "cancelled".to_owned()
                    }
                    permit = self.state.release.acquire() => {
                        permit.unwrap().forget();
                        "released".to_owned()
                    }
                }
            }
            "deaf" => {
                let _running = Counted::new(&self.state.deaf);
                std::future::pending().await
            }
            "big" => "x".repeat(arguments["bytes"].as_u64().unwrap_or_default().try_into().unwrap()),
            "ask" => match context.peer.list_roots().await {
                Ok(roots) => format!("{} roots", roots.roots.len()),
                Err(error) => format!("no roots: {error}"),
            },
            "flood" => self.flood(&arguments, context).await,
            _ => "unknown".to_owned(),
        }
    }

    async fn flood(&self, arguments: &Value, context: &RequestContext<RoleServer>) -> String {
        let Some(token) = context.meta.get_progress_token() else { return "nobody listens".to_owned() };
        let text = "x".repeat(arguments["bytes"].as_u64().unwrap_or_default().try_into().unwrap());
        for count in 0..arguments["count"].as_u64().unwrap_or(u64::MAX) {
            #[expect(clippy::cast_precision_loss, reason = "counts are small")]
            let progress = ProgressNotificationParam::new(token.clone(), count as f64 + 1.0);
            let sending = context.peer.notify_progress(progress.with_message(text.clone()));
            if !matches!(context.ct.run_until_cancelled(sending).await, Some(Ok(()))) {
                self.state.cancelled.send_modify(|count| *count += 1);
                return "nobody reads".to_owned();
            }
            self.state.flooded.send_modify(|count| *count += 1);
        }
        "all sent".to_owned()
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_resources_list_changed()
            .build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new("fixture", "1"))
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        match &*request.client_info.name {
            "unwanted" => Err(ErrorData::invalid_request("this client is not wanted", None)),
            "slow" => {
                self.call("wait", Value::Null, &context).await;
                Err(ErrorData::internal_error("too late", None))
            }
            _ => Ok(self.get_info()),
        }
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![Tool::new("echo", "says it again", Arc::default())]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = json!(request.arguments);
        let text = self.call(&request.name, arguments, &context).await;
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
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

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.subscriber.join(context.peer);
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(self.subscriber.accept(requested.clone()))
    }

    async fn listen(&self, stream: SubscriptionContext) -> Result<(), ErrorData> {
        self.subscriber.listen(stream).await
    }
}

/// A server on a free port of this machine.
pub struct Server {
    pub address: SocketAddr,
    pub state: Arc<State>,
    pub stop: CancellationToken,
    pub served: JoinHandle<()>,
}

/// What tests change.
pub struct Options {
    pub settings: NetworkSettings,
    pub timing: Timing,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let settings = NetworkSettings {
            mcp_api_key: None,
            mcp_allowed_hosts: vec![],
            mcp_allowed_origins: vec![],
            mcp_max_sessions: 10_000,
            mcp_max_connections: 1_000,
            mcp_session_idle_seconds: 300.0,
            mcp_max_message_bytes: 64 * 1024,
        };
        let mut options = Options { settings, timing: Timing::default() };
        change(&mut options);
        let bound = NetworkServer::bind([127, 0, 0, 1].into(), 0, &options.settings).await.unwrap();
        let server = bound.with_timing(options.timing);
        let (address, state, stop) = (server.local_addr(), State::new(), CancellationToken::new());
        let handlers = state.clone();
        let stopped = stop.clone().cancelled_owned();
        let served = tokio::spawn(server.serve(move || handlers.handler(), stopped));
        Self { address, state, stop, served }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Stops it and waits until it has stopped.
    pub async fn end(self) -> Arc<State> {
        self.stop.cancel();
        within(self.served).await.unwrap();
        self.state
    }
}
