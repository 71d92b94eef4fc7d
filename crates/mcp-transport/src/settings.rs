//! Settings of MCP over the network, which every server here has.

use std::time::Duration;

use auth::Keys;
use secrecy::{ExposeSecret as _, SecretString};
use settings::header_secret;

const SESSIONS: u32 = 10_000;
const CONNECTIONS: u32 = 1_000;
const IDLE_SECONDS: f64 = 300.0;
const MESSAGE_BYTES: u32 = 4 << 20;

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TransportKind {
    /// Standard input and output, for a client that starts the server.
    Stdio,
    /// The network: Streamable HTTP, WebSocket, and HTTP+SSE for older clients.
    #[value(alias = "sse")]
    Http,
}

/// Settings of MCP over the network; a program flattens them into its own.
// No `Debug`: it holds keys.
#[derive(Clone, clap::Args)]
pub struct NetworkSettings {
    /// Keys that MCP clients must show as `Authorization: Bearer KEY`, separated by commas. Default: none needed.
    #[arg(long, env = "MCP_API_KEY", hide_env_values = true, value_parser = header_secret)]
    pub mcp_api_key: Option<SecretString>,
    /// Host names, with or without a port, by which MCP clients may call this server, separated by commas; * allows any.
    /// Those of this machine are always allowed.
    #[arg(long, env = "MCP_ALLOWED_HOSTS", value_delimiter = ',')]
    pub mcp_allowed_hosts: Vec<String>,
    /// Origins of web pages that may call, for instance `https://app.example.com`, separated by commas. Pages of this machine
    /// always may.
    #[arg(long, env = "MCP_ALLOWED_ORIGINS", value_delimiter = ',')]
    pub mcp_allowed_origins: Vec<String>,
    /// MCP sessions that are open at the same time; more get 503.
    #[arg(long, env = "MCP_MAX_SESSIONS", default_value_t = SESSIONS, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub mcp_max_sessions: u32,
    /// Network connections to MCP that are open at the same time; more wait to be accepted.
    #[arg(long, env = "MCP_MAX_CONNECTIONS", default_value_t = CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub mcp_max_connections: u32,
    /// Time after which a session that nobody uses or listens to is closed, in seconds.
    #[arg(long, env = "MCP_SESSION_IDLE_SECONDS", default_value_t = IDLE_SECONDS, value_parser = seconds)]
    pub mcp_session_idle_seconds: f64,
    /// Largest MCP message that is accepted, in bytes.
    #[arg(long, env = "MCP_MAX_MESSAGE_BYTES", default_value_t = MESSAGE_BYTES, value_parser = clap::value_parser!(u32).range(1_024..=1 << 30))]
    pub mcp_max_message_bytes: u32,
}

impl Default for NetworkSettings {
    /// What holds without flags and variables: no key is needed.
    fn default() -> Self {
        Self {
            mcp_api_key: None,
            mcp_allowed_hosts: Vec::new(),
            mcp_allowed_origins: Vec::new(),
            mcp_max_sessions: SESSIONS,
            mcp_max_connections: CONNECTIONS,
            mcp_session_idle_seconds: IDLE_SECONDS,
            mcp_max_message_bytes: MESSAGE_BYTES,
        }
    }
}

impl NetworkSettings {
    /// The keys that open the server; without any, everybody may call.
    pub(crate) fn keys(&self) -> Keys {
        let keys = self.mcp_api_key.as_ref().map_or("", |keys| keys.expose_secret());
        let keys = keys.split(',').map(str::trim).filter(|key| !key.is_empty());
        Keys::new(&keys.map(SecretString::from).collect::<Vec<_>>())
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs_f64(self.mcp_session_idle_seconds)
    }

    pub(crate) fn max_message(&self) -> usize {
        self.mcp_max_message_bytes as usize
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|value| (0.001..=86_400.0).contains(value));
    parsed.ok_or_else(|| "allowed is 0.001 to 86400 seconds".to_owned())
}
