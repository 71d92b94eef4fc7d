//! mcp-client: many MCP servers from one terminal.

use std::process::ExitCode;

fn main() -> ExitCode {
    mcp_client::run().into()
}
