//! The socket to listen on: one that was handed over, or one of our own.

use std::net::SocketAddr;

use anyhow::Context as _;
use listenfd::ListenFd;
use mcp_transport::NetworkServer;

use crate::CommandLine;

const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8_080);

/// Takes over the socket that the service manager hands to us (`LISTEN_FDS`, as systemd and its like do), so that none of its
/// connections is refused while the gateway is started anew; without one binds the command line's address, or the file's.
pub(crate) async fn bind(line: &CommandLine, listen: Option<SocketAddr>) -> anyhow::Result<NetworkServer> {
    let handed = ListenFd::from_env()
        .take_tcp_listener(0)
        .context("the socket that was handed over is none of TCP")?;
    let server = match handed {
        Some(socket) => NetworkServer::on(socket, &line.network),
        None => {
            let address = line.listen.or(listen).unwrap_or(DEFAULT);
            NetworkServer::bind(address.ip(), address.port(), &line.network).await
        }
    };
    server.context("mcp-gateway could not start")
}
