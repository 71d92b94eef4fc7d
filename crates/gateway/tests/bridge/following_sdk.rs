//! Subscriptions and tasks of the SDK's clients and servers, with the gateway between them.
#![expect(deprecated, reason = "the older era subscribes in ways that the newer deprecates")]

use std::sync::Arc;

use gateway::InMemory;
use mcp_transport::{Change, Subscriber, Subscribers};
use rmcp::{
    ClientHandler, ErrorData, RoleClient, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig,
        ContentBlock, CreateTaskResult, GetTaskParams, GetTaskResult, Implementation, ListResourcesResult,
        ListToolsResult, PaginatedRequestParams, ProtocolVersion, Resource, ResourceUpdatedNotificationParam,
        ServerCapabilities, ServerConfig, ServerNotification, SubscribeRequestParams, SubscriptionFilter,
        TaskPayload, Tool, UnsubscribeRequestParams,
    },
    object,
    service::{
        ClientLifecycleMode, ClientServiceExt as _, NotificationContext, RequestContext, SubscriptionContext,
    },
    task_manager::{TaskManager, TaskOptions},
};
use tokio::{
    io::{duplex, split},
    sync::mpsc,
};

use crate::{
    calls::era,
    client::connect,
    support::{gateway, prefixed, soon},
};

/// A server: `touch` changes the resource `a:b`, and `work` is a task.
#[derive(Clone)]
struct Keeper {
    subscribers: Subscribers,
    subscriber: Arc<Subscriber>,
    tasks: Arc<TaskManager>,
}

impl Keeper {
    fn start() -> InMemory {
        let (subscribers, tasks) = (Subscribers::default(), Arc::new(TaskManager::new()));
        InMemory::new(move || {
            let (near, far) = duplex(1 << 16);
            let keeper = Self {
                subscriber: Arc::new(subscribers.session()),
                subscribers: subscribers.clone(),
                tasks: tasks.clone(),
            };
            tokio::spawn(async move {
                if let Ok(running) = keeper.serve(split(far)).await {
                    let _ = running.waiting().await;
                }
            });
            Ok(near)
        })
    }
}

type Context = RequestContext<RoleServer>;
type Page = Option<PaginatedRequestParams>;

impl ServerHandler for Keeper {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_tasks();
        ServerConfig::new(capabilities.build())
    }

    async fn list_tools(&self, _: Page, _: Context) -> Result<ListToolsResult, ErrorData> {
        let tool = |name| Tool::new(name, "does it", Arc::new(object!({"type": "object"})));
        Ok(ListToolsResult::with_all_items(vec![tool("touch"), tool("work")]))
    }

    async fn list_resources(&self, _: Page, _: Context) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![Resource::new("a:b", "b")]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let done = CallToolResult::success(vec![ContentBlock::text("done")]);
        if request.name == "touch" {
            self.subscribers.changed(&Change::Resource("a:b".to_owned()));
            return Ok(done.into());
        }
        let task = self.tasks.spawn(TaskOptions::new(), move |_| Box::pin(async move { Ok(done) }));
        Ok(CreateTaskResult::new(task).into())
    }

    async fn get_task(&self, request: GetTaskParams, _: Context) -> Result<GetTaskResult, ErrorData> {
        self.tasks.get_task(&request.task_id).map(GetTaskResult::new)
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.subscriber.join(context.peer);
    }

    async fn subscribe(&self, request: SubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
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

/// A client that hands on which resources were updated.
#[derive(Clone)]
struct Reader(mpsc::UnboundedSender<String>);

impl ClientHandler for Reader {
    fn get_info(&self) -> ClientConfig {
        let capabilities = ClientCapabilities::builder().enable_tasks().build();
        ClientConfig::new(capabilities, Implementation::new("reader", "1"))
    }

    async fn on_resource_updated(
        &self,
        update: ResourceUpdatedNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        let _ = self.0.send(update.uri);
    }
}

fn newest() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

#[tokio::test]
async fn clients_of_the_sdk_follow_resources_of_its_servers_in_every_pair_of_eras() {
    for newer_server in [false, true] {
        let gateway = gateway([("far", prefixed(Keeper::start(), era(newer_server)))]).await;
        let (updates, mut updated) = mpsc::unbounded_channel();
        let (older, newer) = (connect(&gateway).0, connect(&gateway).0);
        let reader = Reader(updates);
        let lifecycle = ClientLifecycleMode::Initialize;
        let older = soon(reader.clone().serve_with_lifecycle(split(older), lifecycle)).await.unwrap();
        let newer = soon(reader.serve_with_lifecycle(split(newer), newest())).await.unwrap();
        soon(older.subscribe(SubscribeRequestParams::new("a:b"))).await.unwrap();
        let filter = SubscriptionFilter::builder().resource_subscription("a:b").build();
        let mut stream = soon(newer.listen(filter.clone())).await.unwrap();
        assert_eq!(*stream.acknowledged(), filter);

        soon(newer.call_tool(CallToolRequestParams::new("far__touch"))).await.unwrap();

        assert_eq!(soon(updated.recv()).await.unwrap(), "a:b");
        let news = soon(stream.next()).await.unwrap().unwrap();
        assert!(
            matches!(news, ServerNotification::ResourceUpdatedNotification(news) if news.params.uri == "a:b")
        );
        soon(stream.cancel()).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_of_the_sdk_fetches_the_result_of_a_task() {
    let gateway = gateway([("far", prefixed(Keeper::start(), era(true)))]).await;
    let (stream, _server) = connect(&gateway);
    let reader = Reader(mpsc::unbounded_channel().0);
    let client = soon(reader.serve_with_lifecycle(split(stream), newest())).await.unwrap();

    let begun = soon(client.call_tool_once(CallToolRequestParams::new("far__work"))).await.unwrap();
    let CallToolResponse::Task(begun) = begun else { panic!("{begun:?} is no task") };
    let id = begun.task.task_id;
    let result = loop {
        let task = soon(client.get_task(GetTaskParams::new(id.clone()))).await.unwrap().task;
        assert_eq!(task.task.task_id, id);
        if let TaskPayload::Completed { result } = task.payload {
            break result;
        }
        tokio::task::yield_now().await;
    };

    assert_eq!(result["content"][0]["text"], "done");
}
