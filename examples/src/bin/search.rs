//! Tool search: the list has two tools, whatever there is behind the gateway. `find_tool` finds the right one for a task, `call_tool` calls
//! it (search.toml).
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::{Context as _, ensure};
use examples::{Assistant, News, Stocks, Weather, call, configured, connect, in_memory, started, structured};
use rmcp::object;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let servers = [
        ("weather", in_memory(|| Weather)),
        ("stocks", in_memory(|| Stocks)),
        ("news", in_memory(|| News)),
        ("assistant", in_memory(|| Assistant)),
    ];
    let gateway = started(configured("search.toml", servers)?.gateway).await;
    let client = connect(&gateway, ()).await?;

    let mut tools: Vec<_> = client.list_all_tools().await?.into_iter().map(|tool| tool.name).collect();
    tools.sort();
    println!("tools: {}", tools.join(", "));
    ensure!(tools == ["call_tool", "find_tool"], "these should be all that is listed");

    let found =
        structured(&client, "find_tool", object!({ "query": "price of a share", "limit": 3 })).await?;
    let best = found["tools"][0]["name"].as_str().context("something should be found")?;
    println!("the price of a share: {best}");
    ensure!(best == "stocks__quote", "this should be the best");

    let wanted = object!({ "name": "stocks__quote", "arguments": { "symbol": "MCP" } });
    let price = call(&client, "call_tool", wanted).await?;
    println!("{price}");
    ensure!(price == "MCP: 42.00 USD", "the result should be the tool's own");
    println!("{}", gateway.savings().context("searching should save something")?);
    Ok(())
}
