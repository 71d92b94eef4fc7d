//! Clients and servers of the SDK, with the gateway between them.

use std::sync::{Arc, Mutex};

use gateway::InMemory;
use mcp_transport::{Era, is_modern};
use rmcp::{
    ClientHandler, ErrorData, RoleClient, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig,
        ContentBlock, ElicitRequestParams, ElicitResult, ElicitationAction, Implementation, InputRequest,
        InputRequests, InputRequiredResult, ListToolsResult, PaginatedRequestParams,
        ProgressNotificationParam, ProtocolVersion, ServerCapabilities, ServerConfig, Tool,
    },
    object,
    service::{ClientLifecycleMode, ClientServiceExt as _, NotificationContext, RequestContext},
};
use serde_json::json;
use tokio::io::{duplex, split};

use crate::{
    calls::era,
    client::connect,
    support::{gateway, prefixed, soon},
};

/// A server: `greet` reports progress, and asks for a name in the way of its era.
#[derive(Clone)]
struct Greeter;

impl Greeter {
    fn start() -> InMemory {
        InMemory::new(|| {
            let (near, far) = duplex(1 << 16);
            tokio::spawn(async move {
                if let Ok(running) = Greeter.serve(split(far)).await {
                    let _ = running.waiting().await;
                }
            });
            Ok(near)
        })
    }
}

impl ServerHandler for Greeter {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = Arc::new(object!({"type": "object"}));
        Ok(ListToolsResult::with_all_items(vec![Tool::new("greet", "greets", schema)]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(token) = context.meta.get_progress_token() {
            let progress = ProgressNotificationParam::new(token, 1.0);
            let _ = context.peer.notify_progress(progress).await;
        }
        let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
        let params = json!({"mode": "form", "message": "who?", "requestedSchema": schema});
        let name = if is_modern(&context) {
            let Some(answers) = request.input_responses else {
                let question = json!({"method": "elicitation/create", "params": params});
                let question: InputRequest = serde_json::from_value(question).unwrap();
                let questions = InputRequests::from([("name".to_owned(), question)]);
                return Ok(InputRequiredResult::new(Some(questions), Some("mine".to_owned())).into());
            };
            assert_eq!(request.request_state.as_deref(), Some("mine"));
            answers["name"]["content"]["name"].clone()
        } else {
            let answer = context.peer.create_elicitation(serde_json::from_value(params).unwrap()).await;
            answer.map_err(|error| ErrorData::internal_error(error.to_string(), None))?.content.unwrap()
                ["name"]
                .clone()
        };
        let text = format!("hello {}", name.as_str().unwrap());
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

/// A client that says who it is, and notes progress.
#[derive(Clone, Default)]
struct Person {
    progress: Arc<Mutex<Vec<f64>>>,
}

impl ClientHandler for Person {
    fn get_info(&self) -> ClientConfig {
        let capabilities = ClientCapabilities::builder().enable_elicitation().build();
        ClientConfig::new(capabilities, Implementation::new("person", "1"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        assert!(
            matches!(request, ElicitRequestParams::FormElicitationParams { message, .. } if message == "who?")
        );
        let mut answer = ElicitResult::new(ElicitationAction::Accept);
        answer.content = Some(json!({"name": "Ada"}));
        Ok(answer)
    }

    async fn on_progress(&self, progress: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.progress.lock().unwrap().push(progress.progress);
    }
}

#[tokio::test]
async fn clients_and_servers_of_the_sdk_understand_each_other_in_every_pair_of_eras() {
    let newest = vec![ProtocolVersion::V_2026_07_28];
    for newer_server in [false, true] {
        for lifecycle in [
            ClientLifecycleMode::Initialize,
            ClientLifecycleMode::Discover { preferred_versions: newest.clone() },
            ClientLifecycleMode::Auto { preferred_versions: newest.clone(), legacy_version: None },
        ] {
            let gateway = gateway([("far", prefixed(Greeter::start(), era(newer_server)))]).await;
            let (stream, _server) = connect(&gateway);
            let person = Person::default();
            let client = soon(person.clone().serve_with_lifecycle(split(stream), lifecycle)).await.unwrap();

            let tools = soon(client.list_all_tools()).await.unwrap();
            assert_eq!(tools[0].name, "far__greet");
            let result = soon(client.call_tool(CallToolRequestParams::new("far__greet"))).await.unwrap();

            assert_eq!(result.content[0].as_text().unwrap().text, "hello Ada");
            soon(client.cancel()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_server_of_both_eras_is_spoken_to_in_the_clients() {
    let gateway = gateway([("far", prefixed(Greeter::start(), Era::Auto))]).await;
    let (stream, _server) = connect(&gateway);
    let client = soon(Person::default().serve(split(stream))).await.unwrap();

    let result = soon(client.call_tool(CallToolRequestParams::new("far__greet"))).await.unwrap();

    assert_eq!(result.content[0].as_text().unwrap().text, "hello Ada");
}
