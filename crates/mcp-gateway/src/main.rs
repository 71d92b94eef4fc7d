//! mcp-gateway: many MCP servers behind one endpoint.

use std::process::ExitCode;

use anyhow::Context as _;
use mcp_gateway::CommandLine;

/// Requests are many small allocations, which take less time here than with the system's allocator; and what sessions and bodies
/// took goes back to the system when they are gone (docs/benchmarks.md).
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<ExitCode> {
    let line: CommandLine = settings::parse();
    let _log = telemetry::init(&line.log).context("the log could not start")?;
    let runtime = tokio::runtime::Runtime::new().context("the async runtime could not start")?;
    let code = runtime.block_on(mcp_gateway::run(line, telemetry::shutdown_signal()));
    runtime.shutdown_background(); // a read from a terminal blocks until somebody presses Enter
    code
}
