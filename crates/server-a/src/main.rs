//! server-a, the messenger: MCP tools that forward messages to server-b.

use anyhow::Context as _;
use server_a::Config;

fn main() -> anyhow::Result<()> {
    let config: Config = settings::parse();
    let _log = telemetry::init(&config.log).context("the log could not start")?;
    // One client, one thread: this starts faster and costs less than handing every message from thread to thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the async runtime could not start")?;
    let result = runtime.block_on(server_a::run(config, telemetry::shutdown_signal()));
    runtime.shutdown_background(); // a read from a terminal blocks until somebody presses Enter
    result
}
