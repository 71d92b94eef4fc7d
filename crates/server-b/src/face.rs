//! Where the MCP tools are offered, beside the REST API.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use mcp_transport::{NetworkServer, TransportKind, serve_stdio_with_grace};

use crate::{Config, mcp::ResponderServer};

/// A way to the MCP tools.
pub(crate) enum Face {
    /// With the time that calls in flight have to finish.
    Stdio(Duration),
    Network(Box<NetworkServer>),
}

impl Face {
    /// The way that the settings ask for, if they do; its address is bound.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(crate) async fn bind(config: &Config) -> anyhow::Result<Option<Self>> {
        let grace = config.connection_limits().grace;
        Ok(match config.mcp {
            None => None,
            Some(TransportKind::Stdio) => Some(Self::Stdio(grace)),
            Some(TransportKind::Http) => {
                let bound = NetworkServer::bind(config.mcp_host, config.mcp_port, &config.mcp_network).await;
                let bound = bound.context("MCP cannot listen: set MCP_HOST or MCP_PORT_B")?;
                Some(Self::Network(Box::new(bound.with_grace(grace))))
            }
        })
    }

    /// The address that is really bound, on the network.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Stdio(_) => None,
            Self::Network(server) => Some(server.local_addr()),
        }
    }

    /// Serves until `stop`, or until standard input ends; then calls in flight may finish.
    ///
    /// # Errors
    /// When the session on standard input and output ends badly.
    pub(crate) async fn serve(
        self,
        server: ResponderServer,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Stdio(grace) => {
                let served = serve_stdio_with_grace(server, grace, stop).await;
                served.context("MCP on standard input and output failed")
            }
            Self::Network(network) => {
                network.serve(move || server.clone(), stop).await;
                Ok(())
            }
        }
    }
}
