//! conformance-bridge: lets the conformance suite, which speaks Streamable HTTP only, test a server over another transport.

use axum::serve::ListenerExt as _;
use clap::Parser as _;
use e2e::bridge::{Target, router};
use telemetry::LogSettings;
use tokio::net::TcpListener;

/// A bridge from Streamable HTTP on 127.0.0.1 to a server behind another transport.
#[derive(clap::Parser)]
struct Config {
    /// Where the server is: `stdio:COMMAND ARGUMENTS`, ws://HOST:PORT/ws or http://HOST:PORT/sse.
    target: Target,
    /// Port to listen on; 0 picks a free one, which the log tells.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How to log.
    #[command(flatten)]
    log: LogSettings,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let _log = telemetry::init(&config.log)?;
    let listener = TcpListener::bind(("127.0.0.1", config.port)).await?;
    let address = listener.local_addr()?;
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true))); // events are small writes
    tracing::info!(%address, target = %config.target, "listening");
    let serving =
        axum::serve(listener, router(config.target)).with_graceful_shutdown(telemetry::shutdown_signal());
    Ok(serving.await?)
}
