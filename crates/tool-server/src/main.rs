//! tool-server: five small tools over MCP.

fn main() {}
