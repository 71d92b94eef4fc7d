//! A cache: a thousand equal questions at once are one call at the upstream. Tools that do not say that they are read-only are called
//! each time, and empty what is kept of their upstream (cache.toml).
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::ensure;
use examples::{call, configured, connect, in_memory, started};
use rmcp::{handler::server::wrapper::Parameters, object, tool, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::task::JoinSet;

/// Sells things, and counts what it is asked.
#[derive(Clone, Default)]
struct Shop {
    asked: Arc<AtomicUsize>,
    sold: Arc<AtomicUsize>,
}

#[derive(Deserialize, JsonSchema)]
struct Article {
    article: String,
}

#[tool_router(server_handler)]
impl Shop {
    /// Tells how many of an article are left.
    #[tool(annotations(read_only_hint = true))]
    async fn stock(&self, Parameters(Article { article }): Parameters<Article>) -> String {
        self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        format!("{article}: {}", 10 - self.sold.load(Ordering::Relaxed))
    }

    /// Sells one.
    #[tool]
    fn buy(&self, Parameters(Article { article }): Parameters<Article>) -> String {
        self.sold.fetch_add(1, Ordering::Relaxed);
        format!("{article}: sold")
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let shop = Shop::default();
    let server = shop.clone();
    let config = configured("cache.toml", [("shop", in_memory(move || server.clone()))])?;
    let gateway = started(config.gateway).await;
    let client = Arc::new(connect(&gateway, ()).await?);

    let mut askers = JoinSet::new();
    for _ in 0..200 {
        let client = client.clone();
        askers.spawn(async move { call(&client, "shop__stock", object!({ "article": "tea" })).await });
    }
    while let Some(answer) = askers.join_next().await {
        ensure!(answer?? == "tea: 10", "everybody should get the same answer");
    }
    let asked = shop.asked.load(Ordering::Relaxed);
    println!("200 askers at once: {asked} call");
    ensure!(asked == 1, "the upstream should have been asked once");

    println!("{}", call(&client, "shop__buy", object!({ "article": "tea" })).await?);
    println!("{}", call(&client, "shop__buy", object!({ "article": "tea" })).await?);
    let left = call(&client, "shop__stock", object!({ "article": "tea" })).await?;
    println!("after two purchases: {left}");
    ensure!(left == "tea: 8", "what changes something should be called each time, and empty the cache");
    Ok(())
}
