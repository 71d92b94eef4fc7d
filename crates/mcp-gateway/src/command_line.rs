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
  mcp-gateway --config gateway.toml explain files__read_file
  mcp-gateway --config gateway.toml run research --input '{\"topic\": \"tides\"}'"
)]
pub struct CommandLine {
    /// What to do. Default: http.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// File with the upstreams: TOML, or the mcpServers JSON of Claude Desktop, Cursor and VS Code when its name ends in .json.
    #[arg(long, short, global = true, env = "MCP_GATEWAY_CONFIG", default_value = "gateway.toml")]
    pub config: PathBuf,
    /// Check the file, connect to each upstream once, show how much it offers, what is withheld and which names had to be changed, and
    /// end: 0 when all is well, 1 when an upstream cannot be reached or a pipeline lacks a tool. Makes no file.
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
    /// Tell where a name leads, or why it is not there; or what happened to a request: asks the gateway that runs. Without one, a
    /// name's upstreams are connected to.
    Explain {
        /// Name of a tool or prompt, or URI of a resource, as clients see it; or the id of a request, as its error (`data.request_id`)
        /// and the access log have it.
        name: String,
    },
    /// Run a pipeline without a client: connects to the upstreams, prints the result as JSON on standard output and how far it is on
    /// standard error; ends with 0 when it succeeded, else with 1.
    Run(RunLine),
    /// List runs of pipelines that were cut off, and how to resume them.
    Runs,
    /// Compare the tools that the upstreams offer with those that were approved.
    Pins {
        /// What to do.
        #[command(subcommand)]
        what: PinsCommand,
    },
    /// Print the JSON schema of the configuration file, for editors.
    Schema,
}

/// What to run.
#[derive(Clone, clap::Args)]
pub struct RunLine {
    /// Name of the pipeline.
    #[arg(required_unless_present = "resume")]
    pub pipeline: Option<String>,
    /// Its input: a JSON object, or @FILE that has one. @- is standard input. Default: {}.
    #[arg(long)]
    pub input: Option<String>,
    /// Print what would be done, and connect to nothing. An input is checked if there is one.
    #[arg(long)]
    pub dry_run: bool,
    /// Go on with a run that was cut off, in place of a new one: stages that are done keep their results. `mcp-gateway runs` lists
    /// them.
    #[arg(long, value_name = "RUN_ID", conflicts_with_all = ["pipeline", "input", "dry_run"])]
    pub resume: Option<String>,
    /// Also make a call again of which nobody knows whether it was carried out (DELIVERY_UNKNOWN). Look first whether it was: else it
    /// may be done twice.
    #[arg(long, requires = "resume", conflicts_with = "pipeline")]
    pub repeat: bool,
}

/// What to do with the lock file of approved tools.
#[derive(Clone, clap::Subcommand)]
pub enum PinsCommand {
    /// Show what differs from what was approved; end with 1 when a tool is withheld, or an upstream cannot be asked.
    Diff,
    /// Approve tools as they are now, and write the lock file; end with 1 when an upstream cannot be asked.
    Approve {
        /// Names of tools as clients see them, or UPSTREAM/TOOL as `pins diff` shows them. Default: all.
        names: Vec<String>,
    },
}
