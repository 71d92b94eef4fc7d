//! What a rule of an appliance did in front of MCP servers, on every transport: `run_command` is refused, the traffic is logged, and
//! personal data is not.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, bail, ensure};
use e2e::programs;
use mcp_transport::{Address, Client, ConnectOptions, Era, NetworkTransport, connect};
use rmcp::{ErrorData, ServiceError, model::CallToolRequestParams};
use serde_json::{Value, json};

use crate::{
    Story,
    running::{Config, Running},
};

const SAID: &str =
    "ada.lovelace@example.com, card 4111 1111 1111 1111, 078-05-1120 from 203.0.113.7, badge EMP-4711";
const MASKED: &str = "[email], card [card], [ssn] from [ip], badge [masked]";

/// The same server twice: once with a rule, and once without, so that it is known what the rule does.
fn rules(work: &Path, log: &Path) -> anyhow::Result<String> {
    let server = programs::folder()?.join("tool-server");
    let server = format!(
        "command = [{:?}, \"stdio\", \"--allow-run-command\", \"--root\", {:?}]\n",
        server.display().to_string(),
        work.display().to_string()
    );
    Ok(format!(
        "[access_log]\nfile = {log:?}\nbodies = true\nmask = [\"EMP-[0-9]+\"]\n\
         [upstream.ruled]\n{server}tools = {{ deny = [\"run_command\"] }}\n\
         [upstream.free]\n{server}"
    ))
}

#[tokio::test]
async fn run_command_is_refused_over_every_network_transport_and_the_log_has_all_but_personal_data() -> Story
{
    let work = tempfile::tempdir()?;
    let log = work.path().join("access.jsonl");
    let gateway = Running::start(&rules(work.path(), &log)?)?;
    let visits = [
        (NetworkTransport::Http, Era::Legacy),
        (NetworkTransport::Http, Era::Modern),
        (NetworkTransport::Sse, Era::Legacy),
        (NetworkTransport::WebSocket, Era::Legacy),
        (NetworkTransport::WebSocket, Era::Modern),
    ];
    for (transport, era) in visits {
        let address = gateway.address.to_string().parse::<Address>()?.with_transport(transport);
        let id = visit(&address, era).await.with_context(|| format!("{transport:?}, {era:?}"))?;
        let explained = gateway.client.explain(&id).await?;
        ensure!(explained.contains("ACCESS_DENIED") && explained.contains("ruled"), "{explained}");
    }
    gateway.stop()?;
    is_logged(&log, visits.len(), "http")?;
    has_run_only_what_it_may(work.path())
}

#[tokio::test]
async fn run_command_is_refused_over_standard_input_and_output_too() -> Story {
    for (era, name) in [(Era::Legacy, "legacy"), (Era::Modern, "modern")] {
        let work = tempfile::tempdir()?;
        let log = work.path().join("access.jsonl");
        let config = Config::new(&rules(work.path(), &log)?)?;
        let program = programs::mcp_gateway()?.display();
        let address = format!("stdio:{program} --config {} stdio", config.path().display()).parse()?;

        visit(&address, era).await.context(name)?;

        let lines = is_logged(&log, 1, "stdio")?;
        ensure!(calls(&lines, "ruled__echo").all(|line| line["era"] == name), "{lines:?}");
        has_run_only_what_it_may(work.path())?;
    }
    Ok(())
}

/// One client that does what it may, and tries what it may not: the id of the request that was refused.
async fn visit(address: &Address, era: Era) -> anyhow::Result<String> {
    let options = ConnectOptions { era, ..ConnectOptions::default() };
    let client = connect(address, (), &options).await?;
    let tools = client.peer().list_all_tools().await?;
    let has = |name: &str| tools.iter().any(|tool| tool.name == name);
    ensure!(has("ruled__echo") && has("free__run_command") && !has("ruled__run_command"), "{tools:?}");

    call(&client, "free__run_command", json!({"command": "touch allowed"}))
        .await?
        .map_err(|error| anyhow::anyhow!("what is allowed must work: {error:?}"))?;
    let refused = call(&client, "ruled__run_command", json!({"command": "touch refused"})).await?;
    let Err(error) = refused else { bail!("it was not refused: {refused:?}") };
    let data = error.data.context("an error of the gateway has data")?;
    ensure!(error.code.0 == -32004 && data["code"] == "ACCESS_DENIED", "{} {data}", error.code.0);
    ensure!(data["upstream"] == "ruled" && data["operation"] == "tools/call", "{data}");

    let echoed = call(&client, "ruled__echo", json!({"message": SAID})).await?;
    let echoed = echoed.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    ensure!(echoed.to_string().contains(SAID), "what is said must arrive as it was: {echoed}");
    client.close().await;
    Ok(data["request_id"].as_str().context("it must have an id")?.to_owned())
}

async fn call(
    client: &Client<()>,
    tool: &'static str,
    arguments: Value,
) -> anyhow::Result<Result<Value, ErrorData>> {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    match client.service().call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await {
        Ok(result) => Ok(Ok(serde_json::to_value(result)?)),
        Err(ServiceError::McpError(error)) => Ok(Err(error)),
        Err(error) => Err(error.into()),
    }
}

fn calls<'l>(lines: &'l [Value], target: &str) -> impl Iterator<Item = &'l Value> {
    lines.iter().filter(move |line| line["operation"] == "tools/call" && line["target"] == target)
}

/// The log says of each visit what was done and what was refused, and by which rule; and nothing personal.
fn is_logged(log: &Path, visits: usize, transport: &str) -> anyhow::Result<Vec<Value>> {
    ensure!(fs::metadata(log)?.permissions().mode() & 0o777 == 0o600, "others can read the log");
    let text = fs::read_to_string(log)?;
    let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    // Longer than what ids and times may have in them by chance.
    for personal in ["lovelace", "example.com", "1111 1111", "078-05-1120", "203.0.113", "EMP-4711"] {
        let found = text.lines().find(|line| line.contains(personal) && line.contains("tools/call"));
        ensure!(found.is_none(), "{personal} is in the log: {found:?}");
    }
    let refused: Vec<_> = calls(&lines, "ruled__run_command").collect();
    let echoed: Vec<_> = calls(&lines, "ruled__echo").collect();
    ensure!(refused.len() == visits && echoed.len() == visits, "{text}");
    ensure!(calls(&lines, "free__run_command").filter(|line| line["outcome"] == "ok").count() == visits);
    for line in refused {
        ensure!(line["outcome"] == "error" && line["error"]["code"] == "ACCESS_DENIED", "{line}");
        ensure!(line["rule"].as_str().is_some_and(|rule| rule.contains("run_command")), "{line}");
        ensure!(line["transport"] == transport && line.get("attempts").is_none(), "{line}");
    }
    for line in echoed {
        ensure!(line["outcome"] == "ok" && line["upstream"] == "ruled", "{line}");
        ensure!(line["params"]["arguments"]["message"] == MASKED, "{line}");
        ensure!(line["result"].to_string().contains(MASKED), "{line}");
    }
    Ok(lines)
}

fn has_run_only_what_it_may(work: &Path) -> Story {
    ensure!(work.join("allowed").exists(), "the command that is allowed was not run");
    ensure!(!work.join("refused").exists(), "the command that is refused was run");
    Ok(())
}
