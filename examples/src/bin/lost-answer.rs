//! A lost answer: the network breaks after a call was delivered, so nobody knows whether it was carried out. It is repeated only if its
//! tool says that this does no harm; otherwise the client hears that it should look.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::future::pending;

use anyhow::{bail, ensure};
use examples::{Client, Listening, Wire, at, call, connect, gateway};
use gateway::UpstreamSettings;
use mcp_transport::Era;
use rmcp::{object, tool, tool_router};
use tokio::sync::watch;

/// Answers no tool the first time.
#[derive(Clone, Default)]
struct Shop {
    orders: watch::Sender<u32>,
    looks: watch::Sender<u32>,
}

#[tool_router(server_handler)]
impl Shop {
    /// Orders a thing.
    #[tool]
    async fn order(&self) -> String {
        carry_out(&self.orders).await
    }

    /// Looks a price up.
    #[tool(annotations(read_only_hint = true))]
    async fn price(&self) -> String {
        carry_out(&self.looks).await
    }
}

async fn carry_out(times: &watch::Sender<u32>) -> String {
    times.send_modify(|times| *times += 1);
    if *times.borrow() == 1 {
        pending::<()>().await;
    }
    "done".to_owned()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let shop = Shop::default();
    let served = shop.clone();
    let server = Listening::start(move || served.clone()).await?;
    let wire = Wire::to(server.port()).await?;
    // In the newer era a stream that broke cannot be resumed.
    let gateway = gateway([("shop", UpstreamSettings { era: Era::Modern, ..at(wire.address()) })]).await;
    let client = connect(&gateway, ()).await?;

    let ordered = lose_answer(&client, "shop__order", &shop.orders, &wire).await;
    let Err(error) = ordered else { bail!("an order must not be repeated") };
    println!("order: {error:#}");
    println!("carried out: {}", *shop.orders.borrow());
    ensure!(format!("{error:?}").contains("DELIVERY_UNKNOWN"), "the client should hear that it has to look");
    ensure!(*shop.orders.borrow() == 1, "an order must not be repeated");

    let price = lose_answer(&client, "shop__price", &shop.looks, &wire).await?;
    println!("price, which is read-only: {price}");
    println!("carried out: {}", *shop.looks.borrow());
    ensure!(*shop.looks.borrow() == 2, "a look should be repeated once");
    Ok(())
}

/// Calls a tool, and cuts the wire as soon as the call has arrived.
async fn lose_answer(
    client: &Client,
    tool: &'static str,
    arrived: &watch::Sender<u32>,
    wire: &Wire,
) -> anyhow::Result<String> {
    let cut = async {
        let _ = arrived.subscribe().wait_for(|times| *times == 1).await; // the sender is here
        wire.cut();
        pending().await
    };
    tokio::select! {
        answer = call(client, tool, object!({})) => answer,
        never = cut => never,
    }
}
