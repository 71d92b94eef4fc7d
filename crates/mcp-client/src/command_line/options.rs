//! Options that every command has.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, ValueEnum};
use mcp_transport::{Era, NetworkTransport};
use url::Url;

use crate::authorization::OAuthOptions;

/// Options that every command has.
#[derive(Args, Clone)]
#[command(next_help_heading = "Options for every command")]
pub(crate) struct Options {
    /// File with servers: the mcpServers of Claude Desktop, Claude Code or Cursor, or an mcp.json of VS Code.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One more server; can be given several times.
    #[arg(short = 's', long = "server", global = true, value_name = "[NAME=]SERVER", id = "more_servers")]
    pub(crate) servers: Vec<String>,
    /// How a bare HOST:PORT is reached.
    #[arg(long, global = true, value_enum)]
    pub(crate) transport: Option<Transport>,
    /// Era of the protocol: the newer one if the server knows it, or only one of them.
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub(crate) era: EraChoice,
    /// Key for the servers of the command line, sent as `Authorization: Bearer KEY`. On a command line others can see it: set
    /// the variable instead. Servers of a configuration file never get it; they have headers of their own.
    #[arg(
        long,
        global = true,
        env = "MCP_CLIENT_KEY",
        hide_env_values = true,
        value_name = "KEY",
        hide_short_help = true
    )]
    pub(crate) key: Option<String>,
    /// A header for the servers of the command line, `Name: value`; can be given several times.
    #[arg(long, global = true, value_name = "HEADER", hide_short_help = true)]
    pub(crate) header: Vec<String>,
    /// Longest time for one call altogether: 30, 500ms, 2m. Default: 10m.
    #[arg(long, global = true, env = "MCP_CLIENT_TIMEOUT", value_name = "TIME", value_parser = settings::time)]
    pub(crate) timeout: Option<Duration>,
    /// Longest silence of a call: without an answer and without progress. Default: 60s, and 10s with --mode test.
    #[arg(long, global = true, env = "MCP_CLIENT_IDLE_TIMEOUT", value_name = "TIME", value_parser = settings::time, hide_short_help = true)]
    pub(crate) idle_timeout: Option<Duration>,
    /// Longest time until a server can be called.
    #[arg(long, global = true, env = "MCP_CLIENT_CONNECT_TIMEOUT", value_name = "TIME", value_parser = settings::time, default_value = "10s", hide_short_help = true)]
    pub(crate) connect_timeout: Duration,
    /// Print JSON: one document, or one line per event where there are several (see the README for the shapes).
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colours. `auto`: on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_enum, default_value = "auto", hide_short_help = true)]
    pub(crate) color: Color,
    /// Folder that servers may ask for as a root; can be given several times.
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true)]
    pub(crate) root: Vec<PathBuf>,
    /// A server-b that answers when servers ask for a model, after you agreed.
    #[arg(long, global = true, value_name = "URL", value_parser = settings::http_url, hide_short_help = true)]
    pub(crate) sampling: Option<Url>,
    /// Folder for images, audio and files of results. Default: in the cache folder.
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true)]
    pub(crate) media: Option<PathBuf>,
    /// File for the shell's history; `none` keeps none. Default: in the data folder.
    #[arg(long, global = true, env = "MCP_CLIENT_HISTORY", value_name = "FILE", hide_short_help = true)]
    pub(crate) history: Option<PathBuf>,
    /// Log to standard error: -v what happens, -vv more, -vvv everything. Messages are never logged.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(flatten)]
    pub(crate) oauth: OAuthOptions,
}

/// How a bare `HOST:PORT` is reached.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Transport {
    /// Streamable HTTP at /mcp, the default.
    Http,
    /// WebSocket at /ws.
    Websocket,
    /// Legacy HTTP+SSE at /sse.
    Sse,
}

impl From<Transport> for NetworkTransport {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Http => Self::Http,
            Transport::Websocket => Self::WebSocket,
            Transport::Sse => Self::Sse,
        }
    }
}

/// Which era of the protocol to speak.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum EraChoice {
    /// The newer one if the server knows it, else the older.
    Auto,
    /// 2026-07-28: without a handshake.
    Modern,
    /// 2025-11-25 and earlier: with `initialize`.
    Legacy,
}

impl From<EraChoice> for Era {
    fn from(era: EraChoice) -> Self {
        match era {
            EraChoice::Auto => Self::Auto,
            EraChoice::Modern => Self::Modern,
            EraChoice::Legacy => Self::Legacy,
        }
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Also in files and pipes.
    Always,
    /// Nowhere.
    Never,
}
