//! Settings of mcp-gateway. `--help` lists them.

use std::{net::SocketAddr, path::PathBuf};

use mcp_transport::NetworkSettings;
use telemetry::LogSettings;

/// Many MCP servers behind one endpoint, bridged across both protocol eras.
#[derive(Clone, clap::Parser)]
#[command(
    name = "mcp-gateway",
    version,
    after_help = "Examples:
  mcp-gateway --config gateway.toml --check      is the file right, and do the servers answer?
  mcp-gateway --config gateway.toml              Streamable HTTP at /mcp, WebSocket at /ws, HTTP+SSE at /sse
  mcp-gateway --config gateway.toml stdio        for Claude Desktop and others that start their servers
  mcp-gateway --config gateway.toml explain files__read_file"
)]
pub struct CommandLine {
    /// What to do. Default: http.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// File with the upstreams: TOML, or the mcpServers JSON of Claude Desktop, Cursor and VS Code when its name ends in .json.
    #[arg(long, short, global = true, env = "MCP_GATEWAY_CONFIG", default_value = "gateway.toml")]
    pub config: PathBuf,
    /// Check the file, connect to each upstream once, show how much it offers and which names had to be changed, and end: 0 when all
    /// is well, 1 when an upstream cannot be reached.
    #[arg(long)]
    pub check: bool,
    /// Address and port to listen on, in place of the file's. 0.0.0.0 means all interfaces: set MCP_API_KEY then. Port 0 picks a free
    /// one, which the log tells.
    #[arg(long, env = "MCP_GATEWAY_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Who may connect, and the limits of connections.
    #[command(flatten)]
    pub network: NetworkSettings,
    /// How to log.
    #[command(flatten)]
    pub log: LogSettings,
}

/// What to do.
#[derive(Clone, clap::Subcommand)]
pub enum Command {
    /// Serve over the network.
    Http,
    /// Serve the one client on standard input and output.
    Stdio,
    /// Tell where a name leads, or why it is not there: asks the gateway that runs, else connects to the upstreams itself.
    Explain {
        /// Name of a tool or prompt, or URI of a resource, as clients see it.
        name: String,
    },
    /// Print the JSON schema of the configuration file, for editors.
    Schema,
}
