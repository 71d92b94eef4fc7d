//! A real server-a, reached as an assistant reaches it: over MCP on its standard input and output.

use std::{collections::HashMap, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use rmcp::{
    RoleClient,
    model::{CallToolRequestParams, CallToolResult, ProtocolVersion},
    service::{ClientLifecycleMode, ClientServiceExt as _, RunningService},
    transport::TokioChildProcess,
};
use serde_json::Value;
use tokio::{io::AsyncReadExt as _, process::Command, task::JoinHandle};

use crate::programs;

/// Longest wait for an answer of server-a.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which protocol era the assistant speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Handshake and session: 2025-11-25 and earlier.
    Legacy,
    /// Stateless: 2026-07-28.
    Modern,
}

/// A connection to a server-a that was started for it.
pub struct Messenger {
    client: RunningService<RoleClient, ()>,
    log: JoinHandle<String>,
    process: Option<u32>,
}

impl Messenger {
    /// Starts server-a in `home` with nothing in its environment but `variables`, and connects.
    ///
    /// # Errors
    /// When it does not start or does not speak MCP.
    pub async fn start(home: &Path, variables: &HashMap<String, String>, era: Era) -> anyhow::Result<Self> {
        let mut command = Command::from(programs::clean("server-a", home)?);
        command.envs(variables);
        Self::connect(command, era).await
    }

    /// The same with mcp-gateway in between, which starts server-a and speaks for it.
    ///
    /// # Errors
    /// As [`Messenger::start`].
    pub async fn start_behind_gateway(
        home: &Path,
        variables: &HashMap<String, String>,
        era: Era,
    ) -> anyhow::Result<Self> {
        let gateway = programs::mcp_gateway()?;
        let server_a = programs::folder()?.join("server-a").with_extension(std::env::consts::EXE_EXTENSION);
        // A text in JSON is one in TOML too.
        let text = |text: &dyn std::fmt::Display| Value::from(text.to_string()).to_string();
        let mut document = format!(
            "[upstream.messenger]\nprefix = \"\"\ncommand = [{}]\ndirectory = {}\n[upstream.messenger.environment]\n",
            text(&server_a.display()),
            text(&home.display()),
        );
        for (name, value) in variables {
            document.push_str(&format!("{name} = {}\n", text(value)));
        }
        let file = home.join("gateway.toml");
        std::fs::write(&file, document)?;
        let mut command = Command::from(programs::clean_at(gateway, home));
        command.arg("--config").arg(file).arg("stdio");
        Self::connect(command, era).await
    }

    async fn connect(mut command: Command, era: Era) -> anyhow::Result<Self> {
        command.kill_on_drop(true);
        let (transport, stderr) = TokioChildProcess::builder(command).stderr(Stdio::piped()).spawn()?;
        let process = transport.id();
        let mut stderr = stderr.context("server-a has no standard error")?;
        let log = tokio::spawn(async move {
            let mut text = Vec::new();
            // What was read until an error is the log.
            let _ = stderr.read_to_end(&mut text).await;
            String::from_utf8_lossy(&text).into_owned()
        });
        let mode = match era {
            Era::Legacy => ClientLifecycleMode::Initialize,
            Era::Modern => {
                ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
            }
        };
        let connecting = ().serve_with_lifecycle(transport, mode);
        let client =
            tokio::time::timeout(PATIENCE, connecting).await.context("server-a does not answer")??;
        Ok(Self { client, log, process })
    }

    /// The connection, for what the methods here do not cover.
    #[must_use]
    pub fn client(&self) -> &RunningService<RoleClient, ()> {
        &self.client
    }

    /// Calls a tool, whatever comes of it.
    ///
    /// # Errors
    /// When there is no result: a protocol error, or no answer.
    pub async fn call(&self, tool: &str, arguments: Value) -> anyhow::Result<CallToolResult> {
        let mut request = CallToolRequestParams::new(tool.to_owned());
        if let Value::Object(arguments) = arguments {
            request = request.with_arguments(arguments);
        }
        let calling = self.client.call_tool(request);
        Ok(tokio::time::timeout(PATIENCE, calling).await.context("server-a does not answer")??)
    }

    /// Calls a tool that is meant to succeed, and gives its structured result.
    ///
    /// # Errors
    /// When the tool reports an error; its words are in the error.
    pub async fn ask(&self, tool: &str, arguments: Value) -> anyhow::Result<Value> {
        let result = self.call(tool, arguments).await?;
        let structured = result.structured_content.context("the result is not structured")?;
        ensure!(result.is_error != Some(true), "{structured}");
        Ok(structured)
    }

    /// Ends server-a at once, as a power cut would.
    ///
    /// # Errors
    /// When it is gone already.
    pub async fn kill(&self) -> anyhow::Result<()> {
        let id = self.process.context("server-a has no process")?.to_string();
        let status = Command::new("kill").args(["-s", "KILL", &id]).status().await?;
        ensure!(status.success(), "server-a cannot be killed");
        Ok(())
    }

    /// Disconnects, which ends server-a, and gives its log.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn close(mut self) -> anyhow::Result<String> {
        self.client.close().await?;
        Ok(self.log.await?)
    }
}
