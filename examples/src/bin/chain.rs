//! A chain of three servers as one tool: what each answers goes into the next one's call. The chain is nothing but configuration
//! (chain.toml).
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::ensure;
use examples::{Assistant, Echo, Weather, call, configured, connect, in_memory, started};
use rmcp::object;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let servers = [
        ("weather", in_memory(|| Weather)),
        ("assistant", in_memory(|| Assistant)),
        ("echo", in_memory(|| Echo)),
    ];
    let gateway = started(configured("chain.toml", servers)?.gateway).await;
    let client = connect(&gateway, ()).await?;

    let tools = client.list_all_tools().await?;
    let Some(report) = tools.iter().find(|tool| tool.name == "report") else {
        anyhow::bail!("the chain should be a tool");
    };
    println!("report wants {}", serde_json::to_string(&report.input_schema)?);
    let annotations = report.annotations.as_ref();
    ensure!(
        annotations.and_then(|annotations| annotations.read_only_hint) == Some(true),
        "a chain of tools that only read should say that it only reads"
    );

    let told = call(&client, "report", object!({ "city": "Lisbon" })).await?;
    println!("{told}");
    ensure!(told == "Echo: Lisbon: sunny, 21 °C (4 words)", "the chain should end like this");
    Ok(())
}
