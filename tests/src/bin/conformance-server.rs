//! conformance-server: the everything server, on the transports of the products.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Context as _;
use clap::Parser;
use e2e::fixture::{Everything, Versions};
use mcp_transport::{NetworkServer, NetworkSettings, TransportKind, serve_stdio};
use telemetry::LogSettings;

/// Serves each thing that an MCP server can do, for conformance tests.
// No `Debug`: it holds keys.
#[derive(Parser)]
#[command(name = "conformance-server", version)]
struct Config {
    /// How it is reached.
    #[arg(default_value = "stdio")]
    transport: TransportKind,
    /// Address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Versions of the protocol that it speaks.
    #[arg(long, default_value = "all")]
    versions: Versions,
    /// MCP over the network.
    #[command(flatten)]
    network: NetworkSettings,
    /// How to log.
    #[command(flatten)]
    log: LogSettings,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let _log = telemetry::init(&config.log).context("the log could not start")?;
    let everything = Everything::of(config.versions);
    let stop = telemetry::shutdown_signal();
    match config.transport {
        TransportKind::Stdio => Ok(serve_stdio(everything.session(), stop).await?),
        TransportKind::Http => {
            let server = NetworkServer::bind(config.host, config.port, &config.network).await?;
            tracing::info!(address = %server.local_addr(), "listening");
            server.serve(move || everything.session(), stop).await;
            Ok(())
        }
    }
}
