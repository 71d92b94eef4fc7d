#![doc = include_str!("../README.md")]

mod config;
mod expression;
mod number;
mod parameters;
mod resources;
mod root_folder;
mod server;
mod shell;
mod statistics;
mod tools;

use anyhow::Context as _;
use mcp_transport::{NetworkServer, TransportKind, serve_stdio};

pub use config::{Config, ToolNames};
pub use server::{Options, SetupError, ToolServer};
pub use shell::CommandLimits;

/// Serves MCP as the settings say, until `stop` resolves or the one client of standard input and output has gone.
///
/// # Errors
/// When the server cannot be built, the address cannot be used, or the session over standard input and output fails.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let server = ToolServer::new(config.options()).context("tool-server could not start")?;
    tracing::info!(tools = server.enabled_tools().join(", "), "ready");
    let served = serve(&config, server.clone(), stop).await;
    server.stop().await;
    served
}

async fn serve(config: &Config, server: ToolServer, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    match config.transport {
        TransportKind::Stdio => serve_stdio(server, stop).await.context("the session failed"),
        TransportKind::Http => {
            let bound = NetworkServer::bind(config.host, config.port, &config.network).await;
            let network = bound.context("tool-server could not start")?;
            tracing::info!(address = %network.local_addr(), "listening");
            network.serve(move || server.clone(), stop).await;
            Ok(())
        }
    }
}
