//! All network transports of one server on one port.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, http::StatusCode, middleware::from_fn_with_state, routing::any};
use http_server::{Connections, Limits};
use rmcp::ServerHandler;
use tokio::net::TcpListener;

use super::{
    access::{Access, check},
    http::{self, Http},
    mount::{Handlers, Mount},
    mounted,
    reply::refuse,
    sessions::Sessions,
    streamable::{self, Streamable},
    timing::Timing,
};
use crate::{Endpoint, NetworkSettings};

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address is taken, or is none of this machine's.
    #[error("{address} cannot be bound: choose another host or port")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The socket cannot be used.
    #[error("the socket cannot be used")]
    Socket(#[source] io::Error),
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
}

/// A server that listens for MCP and does not answer yet.
pub struct NetworkServer {
    listener: TcpListener,
    address: SocketAddr,
    access: Arc<Access>,
    settings: NetworkSettings,
    timing: Timing,
}

impl NetworkServer {
    /// Binds an address; port 0 picks a free port.
    ///
    /// # Errors
    /// When a setting makes no sense, or the address cannot be had.
    pub async fn bind(host: IpAddr, port: u16, settings: &NetworkSettings) -> Result<Self, BindError> {
        let access = access(settings)?;
        let address = SocketAddr::new(host, port);
        let listener = TcpListener::bind(address).await;
        Self::new(listener.map_err(|source| BindError::Address { address, source })?, access, settings)
    }

    /// Takes over a socket that listens already.
    ///
    /// # Errors
    /// When a setting makes no sense, or the socket does not listen.
    pub fn on(socket: std::net::TcpListener, settings: &NetworkSettings) -> Result<Self, BindError> {
        let access = access(settings)?;
        let address = socket.local_addr().map_err(BindError::Socket)?;
        socket.set_nonblocking(true).map_err(BindError::Socket)?;
        let listener = TcpListener::from_std(socket);
        Self::new(listener.map_err(|source| BindError::Address { address, source })?, access, settings)
    }

    fn new(listener: TcpListener, access: Access, settings: &NetworkSettings) -> Result<Self, BindError> {
        let address = listener.local_addr().map_err(BindError::Socket)?;
        if !address.ip().is_loopback() && !access.needs_key() {
            tracing::warn!(host = %address.ip(), "everybody who reaches this address can call the tools: set MCP_API_KEY");
        }
        Ok(Self {
            listener,
            address,
            access: Arc::new(access),
            settings: settings.clone(),
            timing: Timing::default(),
        })
    }

    /// Gives calls in flight this long to finish when the server stops, in place of ten seconds.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.timing.grace = grace;
        self
    }

    /// With other waits than the usual ones.
    #[doc(hidden)]
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// The address that is really bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves a handler that `make` makes for each session, and for each request that belongs to none, until `stop` resolves.
    /// Then nothing new is accepted, and what is in flight has the grace period to finish.
    pub async fn serve<H: ServerHandler>(
        self,
        make: impl Fn() -> H + Send + Sync + 'static,
        stop: impl Future<Output = ()>,
    ) {
        let Timing { idle, stall, grace, .. } = self.timing;
        let mount = Arc::new(Mount::new(make, &self.settings, self.timing));
        let sessions = Arc::new(Sessions::new(&mount, self.settings.idle()));
        let limits = Limits { connections: self.settings.mcp_max_connections as usize, idle, stall, grace };
        let connections = Connections::new(router(&mount, &sessions, self.access), limits);
        let stopping = async {
            stop.await;
            mount.lifetime.stopping.cancel();
        };
        tokio::select! {
            () = connections.serve(self.listener, stopping) => {}
            () = sessions.close_idle() => {}
        }
        // WebSockets are no connections of HTTP any more; their sessions have counted their own grace period.
        mount.lifetime.end(grace).await;
    }

    /// Serves an endpoint until `stop` resolves, as [`NetworkServer::serve`] serves a handler. `more` answers what is at other
    /// paths than MCP's; the same callers reach it.
    pub async fn serve_endpoint<E: Endpoint>(
        self,
        endpoint: Arc<E>,
        more: Router,
        stop: impl Future<Output = ()>,
    ) {
        let Timing { idle, stall, grace, .. } = self.timing;
        let mount = Arc::new(Mount::for_endpoint(endpoint, &self.settings, self.timing));
        let http = Http::new(mount.clone());
        let paths = http::routes(&http).merge(mounted::routes(&mount)).merge(more);
        let limits = Limits { connections: self.settings.mcp_max_connections as usize, idle, stall, grace };
        let connections = Connections::new(guarded(paths, self.access), limits);
        let stopping = async {
            stop.await;
            http.stop();
        };
        tokio::select! {
            () = connections.serve(self.listener, stopping) => {}
            () = http.close_idle(self.settings.idle()) => {}
        }
        // What goes on without a connection of HTTP has counted its own grace period.
        mount.lifetime.end(grace).await;
        http.end();
    }
}

fn access(settings: &NetworkSettings) -> Result<Access, BindError> {
    let (hosts, origins) = (&settings.mcp_allowed_hosts, &settings.mcp_allowed_origins);
    Access::new(settings.keys(), hosts, origins).map_err(BindError::Setting)
}

fn router<H: ServerHandler>(
    mount: &Arc<Mount<Handlers<H>>>,
    sessions: &Arc<Sessions>,
    access: Arc<Access>,
) -> Router {
    let streamable = Arc::new(Streamable::new(mount.clone(), sessions.clone()));
    let mcp = Router::new().route("/mcp", any(streamable::mcp::<H>)).with_state(streamable);
    guarded(mcp.merge(mounted::routes(mount)), access)
}

/// These paths, for those who may call, and answers for what is none of them.
fn guarded(paths: Router, access: Arc<Access>) -> Router {
    paths
        .fallback(async || refuse(StatusCode::NOT_FOUND, "nothing is here: MCP is at /mcp, /sse and /ws"))
        .method_not_allowed_fallback(async || {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods")
        })
        .layer(from_fn_with_state(access, check))
}
