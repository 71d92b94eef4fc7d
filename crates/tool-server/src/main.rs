//! tool-server: five small tools over MCP.

use anyhow::Context as _;
use tool_server::Config;

/// Requests are many small allocations, which take less time here than with the system's allocator; and what sessions and bodies
/// took goes back to the system when they are gone (docs/benchmarks.md).
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    let config: Config = settings::parse();
    let _log = telemetry::init(&config.log).context("the log could not start")?;
    let runtime = tokio::runtime::Runtime::new().context("the async runtime could not start")?;
    let result = runtime.block_on(tool_server::run(config, telemetry::shutdown_signal()));
    runtime.shutdown_background(); // a read from a terminal blocks until somebody presses Enter
    result
}
