//! `mcp-floor`: the least MCP server over stdio that does what server-a's main tool does.
//!
//! `send_message_to_ai` posts to `$SERVER_B_URL/process` (default `http://127.0.0.1:8000`) and gives the answer back;
//! `echo` gives its argument back and shows what the SDK and the pipe cost without any HTTP. No history, retry, log
//! or checked argument.

use anyhow::Context;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{ServerHandler, ServiceExt, tool, tool_handler, tool_router, transport::stdio};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the least program has one setting and no `Config`")]
    let server_b = std::env::var("SERVER_B_URL").unwrap_or_else(|_| "http://127.0.0.1:8000".to_owned());
    let floor = McpFloor::new(&server_b)?;
    floor.serve(stdio()).await.context("no MCP session")?.waiting().await.context("mcp-floor stopped")?;
    Ok(())
}

#[derive(Clone)]
struct McpFloor {
    http: reqwest::Client,
    process_url: String,
    tool_router: ToolRouter<Self>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Question {
    /// What to send.
    message: String,
}

#[tool_router]
impl McpFloor {
    fn new(server_b: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build().context("no HTTP client")?;
        Ok(Self { http, process_url: format!("{server_b}/process"), tool_router: Self::tool_router() })
    }

    /// Give the message back.
    #[tool]
    async fn echo(&self, Parameters(question): Parameters<Question>) -> String {
        question.message
    }

    /// Send a message and get the model's answer.
    #[tool]
    async fn send_message_to_ai(&self, Parameters(question): Parameters<Question>) -> Result<String, String> {
        let answer = self.post(&question).await;
        answer.map_err(|error| error.to_string())
    }

    async fn post(&self, question: &Question) -> reqwest::Result<String> {
        let response = self.http.post(&self.process_url).json(question).send().await?;
        response.error_for_status()?.text().await
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for McpFloor {}
