//! server-a, the messenger: MCP tools that forward messages to server-b.

use anyhow::Context as _;
use mcp_transport::TransportKind;
use server_a::Config;
use tokio::runtime::Builder;

fn main() -> anyhow::Result<()> {
    let config: Config = settings::parse();
    let _log = telemetry::init(&config.log).context("the log could not start")?;
    let mut runtime = match config.transport {
        // One client, one thread: this starts faster and costs less than handing every message from thread to thread.
        TransportKind::Stdio => Builder::new_current_thread(),
        TransportKind::Http => Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build();
    let runtime = runtime.context("the async runtime could not start")?;
    let result = runtime.block_on(server_a::run(config, telemetry::shutdown_signal()));
    runtime.shutdown_background(); // a read from a terminal blocks until somebody presses Enter
    result
}
