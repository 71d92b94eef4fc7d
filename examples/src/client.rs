//! Clients of a gateway.

use std::sync::Arc;

use anyhow::Context as _;
use gateway::Gateway;
use rmcp::{
    ClientHandler, Peer, RoleClient, ServiceExt as _,
    model::{CallToolRequestParams, JsonObject},
    service::RunningService,
};
use serde_json::Value;
use tokio::io::split;

use crate::streams;

/// A client within this process.
pub type Client<H = ()> = RunningService<RoleClient, H>;

/// Connects to the gateway within this process. `handler` hears what servers ask and tell.
///
/// # Errors
/// When the two do not understand each other.
pub async fn connect<H: ClientHandler>(gateway: &Arc<Gateway>, handler: H) -> anyhow::Result<Client<H>> {
    let stream = streams::to_gateway(gateway.clone());
    handler.serve(split(stream)).await.context("the gateway could not be connected to")
}

/// Calls a tool and returns the text of its result.
///
/// # Errors
/// When there is no result, or one that says that the tool failed.
pub async fn call(
    client: &Peer<RoleClient>,
    tool: &'static str,
    arguments: JsonObject,
) -> anyhow::Result<String> {
    let result = client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await?;
    let text = result.content.first().and_then(|content| content.as_text());
    let text = text.with_context(|| format!("{tool} answered without text"))?;
    anyhow::ensure!(result.is_error != Some(true), "{tool} failed: {}", text.text);
    Ok(text.text.clone())
}

/// Calls a tool and returns its structured result.
///
/// # Errors
/// When there is no result, or one that has no structure or says that the tool failed.
pub async fn structured(
    client: &Peer<RoleClient>,
    tool: &'static str,
    arguments: JsonObject,
) -> anyhow::Result<Value> {
    let result = client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await?;
    anyhow::ensure!(result.is_error != Some(true), "{tool} failed: {:?}", result.content);
    result.structured_content.with_context(|| format!("{tool} answered without structure"))
}
