//! Aggregation: three services as one list. Names tell where a tool belongs, and a service that goes away takes nothing from the others.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::ensure;
use examples::{Listening, News, Stocks, Weather, at, call, connect, gateway};
use rmcp::object;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let weather = Listening::start(|| Weather).await?;
    let news = Listening::start(|| News).await?;
    let stocks = Listening::start(|| Stocks).await?;
    let gateway = gateway([
        ("weather", at(weather.address())),
        ("news", at(news.address())),
        ("stocks", at(stocks.address())),
    ])
    .await;
    let client = connect(&gateway, ()).await?;

    let tools: Vec<_> = client.list_all_tools().await?.into_iter().map(|tool| tool.name).collect();
    println!("tools: {}", tools.join(", "));
    println!("{}", call(&client, "weather__forecast", object!({ "city": "Lisbon" })).await?);
    println!("{}", call(&client, "news__headlines", object!({})).await?);
    println!("{}", call(&client, "stocks__quote", object!({ "symbol": "MCP" })).await?);
    ensure!(tools == ["news__headlines", "stocks__quote", "weather__forecast"], "this should be one list");

    news.stop().await;
    let still: Vec<_> = client.list_all_tools().await?.into_iter().map(|tool| tool.name).collect();
    let forecast = call(&client, "weather__forecast", object!({ "city": "Oslo" })).await?;
    println!("without the news: {forecast}");
    ensure!(still == tools, "the list should be the same");
    Ok(())
}
