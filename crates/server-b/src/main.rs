//! server-b, the AI responder: answers messages over HTTP, and over MCP, through a model provider.

use anyhow::Context as _;
use server_b::{Config, Server};

/// Requests are many small allocations; this allocator takes less time for them (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let config: Config = settings::parse();
    let _log = telemetry::init(&config.log).context("the log could not start")?;
    let runtime = tokio::runtime::Runtime::new().context("the async runtime could not start")?;
    let result = runtime.block_on(async {
        let server = Server::bind(config).await.context("server-b could not start")?;
        tracing::info!(address = %server.local_addr(), "listening"); // port 0 works, and tests use it
        if let Some(address) = server.mcp_addr() {
            tracing::info!(%address, "listening for MCP");
        }
        server.serve(telemetry::shutdown_signal()).await.context("server-b stopped")
    });
    runtime.shutdown_background(); // a read from a terminal blocks until somebody presses Enter
    result
}
