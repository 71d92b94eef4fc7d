//! Composite: a server that uses another one. It has a tool of its own, which calls a tool of the other server, and what it does
//! not have itself it passes on. Its clients see one server.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use anyhow::ensure;
use examples::{Echo, Listening, at, call, connect, gateway, in_memory};
use gateway::UpstreamSettings;
use mcp_transport::{Client, ConnectOptions};
use rmcp::{ErrorData, handler::server::wrapper::Parameters, object, tool, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;

/// Server A: a server for its clients, and a client of server B.
struct Enhancer {
    server_b: Arc<Client<()>>,
}

#[derive(Deserialize, JsonSchema)]
struct Text {
    text: String,
}

#[tool_router(server_handler)]
impl Enhancer {
    /// Echoes a text, enhanced.
    #[tool]
    async fn enhanced_echo(&self, Parameters(Text { text }): Parameters<Text>) -> Result<String, ErrorData> {
        let echoed = call(self.server_b.peer(), "echo", object!({ "message": text })).await;
        let echoed = echoed.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        Ok(format!("[Enhanced] {echoed}"))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server_b = Listening::start(|| Echo).await?;
    let client = mcp_transport::connect(&server_b.address(), (), &ConnectOptions::default()).await?;
    let client = Arc::new(client);
    let own = in_memory(move || Enhancer { server_b: client.clone() });

    // With an empty prefix names stay as they are.
    let plain = |upstream| UpstreamSettings { prefix: Some(String::new()), ..upstream };
    let composite = gateway([("own", plain(own)), ("server_b", plain(at(server_b.address())))]).await;

    let client = connect(&composite, ()).await?;
    let tools: Vec<_> = client.list_all_tools().await?.into_iter().map(|tool| tool.name).collect();
    let passed_on = call(&client, "echo", object!({ "message": "Hello MCP!" })).await?;
    let enhanced = call(&client, "enhanced_echo", object!({ "text": "Hello MCP!" })).await?;

    println!("tools: {}", tools.join(", "));
    println!("echo, which is server B's: {passed_on}");
    println!("enhanced_echo, which uses it: {enhanced}");
    ensure!(tools == ["enhanced_echo", "echo"], "the tools of both servers should be in one list");
    ensure!(
        passed_on == "Echo: Hello MCP!" && enhanced == "[Enhanced] Echo: Hello MCP!",
        "other answers came"
    );
    Ok(())
}
