//! test-communication: shows that server-a and server-b talk to each other, for real and step by step.
//!
//! It starts server-b (mock) and server-a itself, unless `--server-b URL` says where a server-b runs, and drives server-a
//! over MCP as an assistant does. It ends with 0 only when every step did what it says.

use std::{collections::HashMap, io::Write as _, process::ExitCode};

use anyhow::{Context as _, ensure};
use clap::Parser;
use e2e::{
    messenger::{Era, Messenger},
    world::{ServerB, ServerBSettings},
};
use serde_json::{Value, json};

const MESSAGES: [&str; 2] = ["What is Python?", "Explain AI in one sentence"];

/// Proves that server-a and server-b talk to each other.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// A server-b that already runs, for instance http://localhost:8000; without it one is started, with the mock provider.
    #[arg(long, value_name = "URL")]
    server_b: Option<String>,
    /// Its key, if it needs one.
    #[arg(long, env = "SERVER_B_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Put mcp-gateway between the assistant and server-a.
    #[arg(long)]
    gateway: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match walk(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("    ✗ {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn walk(arguments: Arguments) -> anyhow::Result<()> {
    banner(&["MCP Server-to-Server Communication — Proof of Concept"]);
    let home = tempfile::tempdir()?;
    let (own, url) = match arguments.server_b {
        Some(url) => (None, url),
        None => {
            let server = start_server_b()?;
            let url = server.url("");
            (Some(server), url)
        }
    };
    let variables = [
        ("SERVER_B_URL", url.as_str()),
        ("DATABASE_URL", "sqlite://server-a.db"),
        ("RETRY_ATTEMPTS", "1"),
        ("SERVER_B_API_KEY", arguments.api_key.as_deref().unwrap_or_default()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let messenger = start_server_a(home.path(), &variables, arguments.gateway).await?;

    let provider = health(&messenger).await?;
    models(&messenger).await?;
    let mut spent = Spent::default();
    for (number, message) in MESSAGES.into_iter().enumerate() {
        spent.add(&send(&messenger, number + 3, message, &provider).await?);
    }
    proof(&provider);
    history(&messenger, &spent).await?;
    usage(&messenger, &spent).await?;

    messenger.close().await.context("server-a did not end as it should")?;
    if let Some(server) = own {
        let (status, log) = server.stop()?;
        ensure!(status.success(), "server-b did not end as it should ({status}); its log:\n{log}");
    }
    say("\n    ✓ Every step did what it says.");
    Ok(())
}

fn start_server_b() -> anyhow::Result<ServerB> {
    say("\nStarting Server B (mock provider) and Server A...");
    ServerBSettings::new()?.without("RUST_LOG").start().context("Server B did not start")
}

async fn start_server_a(
    home: &std::path::Path,
    variables: &HashMap<String, String>,
    behind_gateway: bool,
) -> anyhow::Result<Messenger> {
    if behind_gateway {
        say("    through mcp-gateway");
        let started = Messenger::start_behind_gateway(home, variables, Era::Modern).await;
        return started.context("Server A did not start behind mcp-gateway");
    }
    Messenger::start(home, variables, Era::Modern).await.context("Server A did not start")
}

async fn health(messenger: &Messenger) -> anyhow::Result<String> {
    say("\n[1] Checking Server B health...");
    let health = ask(messenger, "check_server_b_health", json!({})).await?;
    let provider = text(&health, "/provider").map_err(|_| {
        anyhow::anyhow!("Server B does not accept the key\n      Hint: Set SERVER_B_API_KEY, or --api-key, to one of its keys")
    })?;
    ensure!(
        health["status"] == "healthy",
        "Server B is {}: {}",
        health["status"],
        health["ai"]["error"].as_str().unwrap_or("look at its log")
    );
    say("    ✓ Server B is healthy");
    say(&format!("    Provider: {provider}"));
    say(&format!("    AI Status: {}", text(&health, "/ai/status")?));
    Ok(provider)
}

async fn models(messenger: &Messenger) -> anyhow::Result<()> {
    say("\n[2] Listing available models on Server B...");
    let models = ask(messenger, "list_available_models", json!({})).await?;
    let names = models["models"].as_array().context("there is no list of models")?;
    ensure!(!names.is_empty(), "Server B offers no model");
    say(&format!("    ✓ Provider: {}", text(&models, "/provider")?));
    say(&format!("    Models: {}", models["models"]));
    Ok(())
}

async fn send(messenger: &Messenger, step: usize, message: &str, provider: &str) -> anyhow::Result<Value> {
    say(&format!("\n[{step}] Sending message: \"{message}\""));
    say(&format!("    Server A → HTTP POST → Server B → {}", name_of(provider)));
    say("    ...");
    let answer = ask(messenger, "send_message_to_ai", json!({"message": message})).await?;
    let response = text(&answer, "/aiResponse")?;
    ensure!(answer["success"] == true, "the message was not answered");
    ensure!(answer["sentMessage"] == message, "another message was answered: {}", answer["sentMessage"]);
    if provider == "mock" {
        let expected = format!("You said: '{message}'. This is a test response");
        ensure!(response.contains(&expected), "the mock did not repeat the message: {response}");
    }
    say("    ✓ Response received!\n");
    say(&format!("    AI Response : {response}"));
    say(&format!("    Model       : {}", text(&answer, "/model")?));
    say(&format!("    Tokens      : {}", answer["usage"]["totalTokens"]));
    say("    Status      : success");
    Ok(answer)
}

async fn history(messenger: &Messenger, spent: &Spent) -> anyhow::Result<()> {
    say("\n[5] Reading the conversation history of Server A...");
    let history = ask(messenger, "get_conversation_history", json!({})).await?;
    let expected = MESSAGES.len() as u64;
    ensure!(history["totalMessages"] == 2 * expected, "the history is not complete: {history}");
    ensure!(history["totalAIResponses"] == expected, "answers are missing in the history: {history}");
    ensure!(history["totalTokensUsed"] == spent.tokens, "the history counts other tokens: {history}");
    say(&format!("    ✓ {} messages, {} of them AI responses", 2 * expected, expected));
    Ok(())
}

async fn usage(messenger: &Messenger, spent: &Spent) -> anyhow::Result<()> {
    say("\n[6] Reading the AI usage statistics of Server A...");
    let stats = ask(messenger, "get_ai_usage_stats", json!({})).await?;
    ensure!(stats["totalRequests"] == MESSAGES.len(), "requests are missing in the statistics: {stats}");
    ensure!(stats["totalTokens"] == spent.tokens, "the statistics count other tokens: {stats}");
    let cost = stats["estimatedTotalCost"].as_f64().context("the statistics have no cost")?;
    ensure!((cost - spent.cost).abs() < 1e-12, "the bill is {cost}, the answers cost {}", spent.cost);
    say(&format!(
        "    ✓ {} requests, {} tokens, $ {cost}, {} s on average",
        stats["totalRequests"], stats["totalTokens"], stats["averageResponseTime"]
    ));
    Ok(())
}

/// What the answers said that they used.
#[derive(Default)]
struct Spent {
    tokens: u64,
    cost: f64,
}

impl Spent {
    fn add(&mut self, answer: &Value) {
        self.tokens += answer["usage"]["totalTokens"].as_u64().unwrap_or_default();
        self.cost += answer["usage"]["estimatedCost"].as_f64().unwrap_or_default();
    }
}

/// Calls a tool; a failure is told with the tool's own hint.
async fn ask(messenger: &Messenger, tool: &str, arguments: Value) -> anyhow::Result<Value> {
    let result = messenger.call(tool, arguments).await?;
    let answer = result.structured_content.with_context(|| format!("{tool} gave no structured result"))?;
    if result.is_error == Some(true) {
        let part = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        anyhow::bail!("{}\n      {}\n      Hint: {}", part("error"), part("detail"), part("hint"));
    }
    Ok(answer)
}

fn text(value: &Value, pointer: &str) -> anyhow::Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found.with_context(|| format!("{pointer} is missing in {value}"))?.to_owned())
}

fn name_of(provider: &str) -> &str {
    match provider {
        "mock" => "Mock LLM",
        "openai" => "OpenAI API",
        "bedrock" => "AWS Bedrock",
        other => other,
    }
}

fn proof(provider: &str) {
    say("");
    banner(&[
        "✓ PROOF: Server A communicated with Server B successfully!",
        "",
        "Two separate MCP servers exchanged messages:",
        &format!("  server-a  →  HTTP POST  →  server-b  →  {}", name_of(provider)),
    ]);
}

fn banner(lines: &[&str]) {
    let rule = "=".repeat(60);
    say(&rule);
    for line in lines {
        say(format!("  {line}").trim_end());
    }
    say(&rule);
}

/// Prints a line of the walkthrough. A reader that has gone away does not change what is proven.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
