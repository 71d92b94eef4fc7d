#![doc = include_str!("../README.md")]

mod arguments;
mod attempts;
mod config;
mod conversation;
mod failure;
mod messenger;
mod pending;
mod results;
mod server;
mod session;
mod tools;

use anyhow::Context as _;
use ledger::{Ledger, Options, Owner};
use rmcp::transport::stdio_pipes;

pub use config::Config;
pub use failure::Failure;
pub use messenger::{Delivery, Message, Messenger, Mode, Sent};
pub use server::MessengerServer;
pub use session::serve;

/// Serves MCP on standard input and output until the input ends or `stop` resolves.
///
/// The handshake is answered at once; calls wait until the ledger is open.
///
/// # Errors
/// When the ledger or the HTTP client cannot be set up, or the client sends no usable handshake.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let server = MessengerServer::starting();
    let (input, output) = stdio_pipes();
    let session = serve(server.clone(), input, output, stop);
    let (ledger, served) = tokio::try_join!(start(config, server), async { Ok(session.await) })?;
    ledger.flush().await.context("the history could not be written to the end")?;
    served
}

/// Opens the ledger and sets up the client: files and certificates, which may take longer than a host likes to wait.
async fn start(config: Config, server: MessengerServer) -> anyhow::Result<Ledger> {
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
