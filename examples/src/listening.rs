//! Servers that listen.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use axum::Router;
use gateway::Gateway;
use mcp_transport::{Address, BindError, NetworkServer, NetworkSettings};
use rmcp::ServerHandler;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const GRACE: Duration = Duration::from_secs(1);

/// A server on a port of this machine. It ends with [`Listening::stop`], or with the program.
pub struct Listening {
    port: u16,
    stopping: CancellationToken,
    serving: JoinHandle<()>,
}

impl Listening {
    /// Serves a handler on a free port; `make` makes it for each session, and for each request that belongs to none.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start<H: ServerHandler>(
        make: impl Fn() -> H + Send + Sync + 'static,
    ) -> Result<Self, BindError> {
        Self::start_on(0, make).await
    }

    /// Serves a handler on this port.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn start_on<H: ServerHandler>(
        port: u16,
        make: impl Fn() -> H + Send + Sync + 'static,
    ) -> Result<Self, BindError> {
        let server = bind(port).await?;
        let (port, stopping) = (server.local_addr().port(), CancellationToken::new());
        let serving = tokio::spawn(server.serve(make, stopping.clone().cancelled_owned()));
        Ok(Self { port, stopping, serving })
    }

    /// Serves a gateway on a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn gateway(gateway: Arc<Gateway>) -> Result<Self, BindError> {
        let server = bind(0).await?;
        let (port, stopping) = (server.local_addr().port(), CancellationToken::new());
        let stop = stopping.clone().cancelled_owned();
        let serving = tokio::spawn(server.serve_endpoint(gateway, Router::new(), stop));
        Ok(Self { port, stopping, serving })
    }

    /// Where it is, over Streamable HTTP.
    #[must_use]
    pub fn address(&self) -> Address {
        format!("127.0.0.1:{}", self.port).parse().expect("a host and a port are an address")
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers what is under way, and leaves the port.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.serving.await.expect("the server does not panic");
    }
}

async fn bind(port: u16) -> Result<NetworkServer, BindError> {
    let server = NetworkServer::bind(Ipv4Addr::LOCALHOST.into(), port, &NetworkSettings::default()).await?;
    Ok(server.with_grace(GRACE))
}
