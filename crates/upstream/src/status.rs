//! How a connection is doing.

use std::sync::Arc;

use mcp_transport::ConnectError;
use rmcp::model::{Implementation, ProtocolVersion, ServerCapabilities};

/// How the connection to an upstream is doing.
#[derive(Debug, Clone, Default)]
pub enum Status {
    /// Nobody has asked for it yet.
    #[default]
    Idle,
    /// It is being connected to.
    Connecting,
    /// It can be called.
    Connected(Arc<Introduction>),
    /// It went away, or an attempt that somebody wanted failed: why, for people. The next call connects again; a server on the
    /// network that was connected is also tried again in the background.
    Disconnected(Arc<ConnectError>),
    /// We closed it.
    Closed,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Introduction {
    /// The version of MCP that both speak.
    pub protocol_version: ProtocolVersion,
    /// Its name and version, when it says them.
    pub server: Option<Implementation>,
    /// What it can do.
    pub capabilities: ServerCapabilities,
    /// How a model should use it.
    pub instructions: Option<String>,
}

impl Introduction {
    /// Whether the server speaks the newer era of MCP, which is stateless: 2026-07-28 and later.
    #[must_use]
    pub fn is_modern(&self) -> bool {
        self.protocol_version >= ProtocolVersion::V_2026_07_28
    }
}
