#![doc = include_str!("../README.md")]
#![expect(
    deprecated,
    reason = "clients of both eras are served, and the newer one deprecates parts of the older"
)]

mod arguments;
mod asking;
mod attempts;
mod calls;
mod catalogue;
mod completions;
mod config;
mod conversation;
mod failure;
mod journal;
mod messenger;
mod pending;
mod prompts;
mod questions;
mod resources;
mod results;
mod server;
mod tasks;
mod tools;

use anyhow::Context as _;
use ledger::{Ledger, Options, Owner};
use mcp_transport::{NetworkServer, TransportKind, serve_stdio};

pub use config::Config;
pub use failure::Failure;
pub use messenger::{Delivery, Message, Messenger, Mode, Sent, Stage};
pub use server::{MessengerServer, MessengerSession};

/// Serves MCP as the settings say, until `stop` resolves or, over standard input and output, the input ends.
///
/// # Errors
/// When the ledger or the HTTP client cannot be set up, the address cannot be bound, the client on standard input sends no
/// usable handshake, or the ledger cannot be written to the end.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let server = MessengerServer::starting(config.confirm_cost_usd);
    let (ledger, served) = match config.transport {
        TransportKind::Stdio => on_stdio(config, &server, stop).await?,
        TransportKind::Http => on_network(config, &server, stop).await?,
    };
    server.stop().await;
    ledger.flush().await.context("the history could not be written to the end")?;
    served
}

/// The handshake is answered at once; everything else waits until the ledger is open.
async fn on_stdio(
    config: Config,
    server: &MessengerServer,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<(Ledger, anyhow::Result<()>)> {
    let session = serve_stdio(server.session(), stop);
    tokio::try_join!(start(config, server), async { Ok(session.await.map_err(anyhow::Error::from)) })
}

/// Whoever connects finds everything ready.
async fn on_network(
    config: Config,
    server: &MessengerServer,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<(Ledger, anyhow::Result<()>)> {
    let (host, port, settings) = (config.mcp_host, config.mcp_port, config.network.clone());
    let ledger = start(config, server).await?;
    let network = NetworkServer::bind(host, port, &settings).await.context("server-a could not start")?;
    tracing::info!(address = %network.local_addr(), "listening");
    let server = server.clone();
    network.serve(move || server.session(), stop).await;
    Ok((ledger, Ok(())))
}

/// Opens the ledger and sets up the client: files and certificates, which may take longer than a host likes to wait.
async fn start(config: Config, server: &MessengerServer) -> anyhow::Result<Ledger> {
    let open = move || {
        let options = Options { owner: Owner::ServerA, max_exchanges: config.history_max_messages };
        let ledger = Ledger::open(&config.location()?, options)?;
        anyhow::Ok((ledger, config.responder()?, config.backoff()))
    };
    let opened = tokio::task::spawn_blocking(open).await?;
    let (ledger, responder, backoff) = opened.context("server-a could not start")?;
    tracing::info!(server_b.url = responder.address(), "ready");
    server.start(Messenger::new(responder, ledger.clone(), backoff));
    Ok(ledger)
}
