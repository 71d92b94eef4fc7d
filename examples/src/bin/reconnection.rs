//! Retry with reconnect: a server goes away and comes back. A call that comes in between waits for it and is tried again, as it
//! surely was not delivered.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use anyhow::ensure;
use examples::{Echo, Listening, at, call, connect, gateway};
use gateway::Breaker;
use rmcp::object;

const POLL: Duration = Duration::from_millis(10);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = Listening::start(|| Echo).await?;
    let port = server.port();
    // More patient than usual: up to twenty attempts, and no breaker that ends them.
    let mut echo = at(server.address());
    echo.retries.backoff.attempts = 20;
    echo.retries.backoff.base = Duration::from_millis(50);
    echo.breaker = Breaker { failures: 100, ..Breaker::default() };
    let gateway = gateway([("far", echo)]).await;
    let client = connect(&gateway, ()).await?;
    println!("{}", call(&client, "far__echo", object!({ "message": "one" })).await?);

    server.stop().await;
    println!("the server is gone");
    let come_back = async {
        while gateway.health().upstreams[0].last_error.is_none() {
            tokio::time::sleep(POLL).await; // until the gateway has noticed
        }
        let server = Listening::start_on(port, || Echo).await?;
        println!("the server is back");
        Ok(server)
    };
    let waiting = call(&client, "far__echo", object!({ "message": "two" }));
    let (answer, _server) = tokio::try_join!(waiting, come_back)?;
    println!("{answer}");
    ensure!(answer == "Echo: two", "the call should have been answered");
    Ok(())
}
