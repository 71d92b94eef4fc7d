//! Policy: a tool that runs commands is refused wherever it is called from, and in no list; what is left is written down, with personal
//! data masked (policy.toml).
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, fs, process};

use anyhow::{Context as _, ensure};
use examples::{call, configured, connect, in_memory, started, structured};
use gateway::AccessLog;
use rmcp::{handler::server::wrapper::Parameters, object, tool, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;

/// Has more tools than a model should have.
struct Desk;

#[derive(Deserialize, JsonSchema)]
struct Note {
    about: String,
}

#[derive(Deserialize, JsonSchema)]
struct Shell {
    command: String,
}

#[tool_router(server_handler)]
impl Desk {
    /// Reads a note.
    #[tool(annotations(read_only_hint = true))]
    fn read_note(&self, Parameters(Note { about }): Parameters<Note>) -> String {
        format!("{about} called")
    }

    /// Deletes a note.
    #[tool]
    fn delete_note(&self, Parameters(Note { about }): Parameters<Note>) -> String {
        format!("{about}: gone")
    }

    /// Runs a command.
    #[tool]
    fn run_command(&self, Parameters(Shell { command }): Parameters<Shell>) -> String {
        format!("{command}: done")
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut config = configured("policy.toml", [("desk", in_memory(|| Desk))])?;
    let mut log = config.files.access_log.take().context("policy.toml should have an access log")?;
    log.path = env::temp_dir().join(format!("mcp-example-policy-{}.jsonl", process::id()));
    config.gateway.access_log = Some(AccessLog::open(&log).map_err(anyhow::Error::msg)?);
    let gateway = started(config.gateway).await;
    let client = connect(&gateway, ()).await?;

    let tools: Vec<_> = client.list_all_tools().await?.into_iter().map(|tool| tool.name).collect();
    println!("tools: {}", tools.join(", "));
    ensure!(tools == ["batch", "desk__note"], "what is refused should not be listed");

    let refused = call(&client, "desk__run_command", object!({ "command": "rm -r /" })).await;
    let refused = refused.err().context("this should be refused")?.to_string();
    println!("run_command: {refused}");
    let calls = object!({ "calls": [{ "tool": "desk__run_command", "arguments": { "command": "ls" } }] });
    let batch = structured(&client, "batch", calls).await?;
    let code = &batch["results"][0]["error"]["data"]["code"];
    println!("run_command in a batch: {code}");
    ensure!(code == "ACCESS_DENIED", "a batch should not get around it");

    let note = call(&client, "desk__note", object!({ "about": "ann@example.com of EMP-17" })).await?;
    println!("{note}");
    ensure!(note == "ann@example.com of EMP-17 called", "clients get what the server says");

    client.cancel().await?;
    gateway.close(std::time::Duration::ZERO).await;
    let written = fs::read_to_string(&log.path)?;
    fs::remove_file(&log.path)?;
    print!("{written}");
    ensure!(written.contains("ACCESS_DENIED"), "what is refused should be written down, too");
    ensure!(
        !written.contains("ann@example.com") && !written.contains("EMP-17"),
        "no personal data should be in the log"
    );
    Ok(())
}
