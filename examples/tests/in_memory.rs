//! Servers that use servers, tested in one process and without a socket. Every connection is a pair of streams.

use std::sync::Arc;

use examples::{Client, Echo, News, Weather, call, connect, gateway, in_memory, streams};
use gateway::UpstreamSettings;
use mcp_transport::Era;
use rmcp::{
    ErrorData, ServiceExt as _,
    handler::server::wrapper::Parameters,
    model::ProtocolVersion,
    object,
    service::{ClientLifecycleMode, ClientServiceExt as _},
    tool, tool_router,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::io::split;

/// A server that is a client, too.
struct ServerA {
    client: Arc<Client>,
}

#[derive(Deserialize, JsonSchema)]
struct Text {
    text: String,
}

#[tool_router(server_handler)]
impl ServerA {
    /// Echoes a text, enhanced.
    #[tool(name = "enhanced-echo")]
    async fn enhanced_echo(&self, Parameters(Text { text }): Parameters<Text>) -> Result<String, ErrorData> {
        let echoed = call(&self.client, "server-b__echo", object!({ "message": text })).await;
        let echoed = echoed.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        Ok(format!("[Enhanced] {echoed}"))
    }
}

#[tokio::test]
async fn a_call_goes_through_two_servers_and_a_gateway() {
    let gateway = gateway([("server-b", in_memory(|| Echo))]).await;
    let client = Arc::new(connect(&gateway, ()).await.unwrap());
    let test_client = ().serve(split(streams::to_server(ServerA { client }))).await.unwrap();

    let result = call(&test_client, "enhanced-echo", object!({ "text": "Hello MCP!" })).await.unwrap();

    assert_eq!(result, "[Enhanced] Echo: Hello MCP!");
}

#[tokio::test]
async fn what_two_servers_offer_is_one_list() {
    let gateway = gateway([("weather", in_memory(|| Weather)), ("news", in_memory(|| News))]).await;
    let client = connect(&gateway, ()).await.unwrap();

    let tools = client.list_all_tools().await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();

    assert_eq!(names, ["news__headlines", "weather__forecast"]);
    let explanation = gateway.explain("weather__forecast");
    assert_eq!(explanation.upstream.as_deref(), Some("weather"));
}

#[tokio::test]
async fn a_tool_that_there_is_not_is_an_error_that_says_what_to_do() {
    let gateway = gateway([("weather", in_memory(|| Weather))]).await;
    let client = connect(&gateway, ()).await.unwrap();

    let error = call(&client, "weather__rain", object!({})).await.unwrap_err();

    assert!(error.to_string().contains("list the tools again"), "{error}");
}

#[tokio::test]
async fn a_client_of_the_newer_era_uses_a_server_of_the_older() {
    let older = UpstreamSettings { era: Era::Legacy, ..in_memory(|| Weather) };
    let gateway = gateway([("weather", older)]).await;
    let newest = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    let stream = streams::to_gateway(gateway);
    let client = ().serve_with_lifecycle(split(stream), newest).await.unwrap();

    let forecast = call(&client, "weather__forecast", object!({ "city": "Lisbon" })).await.unwrap();

    assert_eq!(forecast, "Lisbon: sunny, 21 °C");
}
