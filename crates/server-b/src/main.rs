//! server-b, the AI responder: answers messages over HTTP, and over MCP, through a model provider.

use anyhow::Context as _;
use server_b::{Config, Server};

/// Requests are many small allocations, which take less time here than with the system's allocator; and what sessions and bodies
/// took goes back to the system when they are gone (docs/benchmarks.md).
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
