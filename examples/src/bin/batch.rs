//! A batch: many calls of several servers in one request. Each result or error is in its place, and one that fails stops none of the
//! others (batch.toml).
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::{Context as _, ensure};
use examples::{News, Stocks, Weather, configured, connect, in_memory, started, structured};
use rmcp::object;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let servers =
        [("weather", in_memory(|| Weather)), ("stocks", in_memory(|| Stocks)), ("news", in_memory(|| News))];
    let gateway = started(configured("batch.toml", servers)?.gateway).await;
    let client = connect(&gateway, ()).await?;

    let calls = object!({ "calls": [
        { "tool": "weather__forecast", "arguments": { "city": "Lisbon" } },
        { "tool": "stocks__quote", "arguments": { "symbol": "MCP" } },
        { "tool": "weather__rain" },
        { "tool": "news__headlines" },
        { "tool": "weather__forecast", "arguments": { "city": "Oslo" } },
    ] });
    let batch = structured(&client, "batch", calls).await?;
    let results = batch["results"].as_array().context("there should be results")?;
    let told: Vec<_> = results
        .iter()
        .map(|one| match one["result"]["content"][0]["text"].as_str() {
            Some(text) => text.to_owned(),
            None => format!("{}: {}", one["error"]["data"]["code"], one["error"]["message"]),
        })
        .collect();
    for (result, told) in results.iter().zip(&told) {
        println!("{}: {told}", result["tool"]);
    }
    ensure!(told.len() == 5, "each call should have its place");
    ensure!(
        told[0].starts_with("Lisbon") && told[4].starts_with("Oslo"),
        "the order should be that of the calls"
    );
    ensure!(told[2].contains("TOOL_NOT_FOUND"), "there is no such tool");
    ensure!(told[3] == "Gateway opens", "an error should stop none of the others");
    Ok(())
}
