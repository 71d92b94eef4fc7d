//! What a gateway is made of: servers on the network, and servers within this process.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use gateway::{Gateway, InMemory, Reach, Replica, Settings, UpstreamSettings};
use mcp_gateway::Config;
use mcp_transport::Address;
use rmcp::ServerHandler;

use crate::streams;

/// A gateway that knows what these upstreams offer.
pub async fn gateway<const N: usize>(upstreams: [(&str, UpstreamSettings); N]) -> Arc<Gateway> {
    let upstreams = upstreams.map(|(name, settings)| (name.to_owned(), settings)).into();
    started(Settings { upstreams, ..Settings::default() }).await
}

/// A gateway with these settings that knows what its upstreams offer.
pub async fn started(settings: Settings) -> Arc<Gateway> {
    let gateway = Gateway::new(settings);
    gateway.settled().await;
    gateway
}

/// What a file of this folder configures, with servers of this process in the places of those that it names.
///
/// # Errors
/// When the file is wrong, or names other upstreams.
pub fn configured<const N: usize>(
    file: &str,
    servers: [(&str, UpstreamSettings); N],
) -> anyhow::Result<Config> {
    let mut config = Config::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file))?;
    ensure!(config.gateway.upstreams.len() == N, "{file} should name as many upstreams");
    for (name, server) in servers {
        let upstream = config.gateway.upstreams.get_mut(name);
        upstream.with_context(|| format!("{file} should name the upstream {name}"))?.replicas =
            server.replicas;
    }
    Ok(config)
}

/// A server at this address.
#[must_use]
pub fn at(address: Address) -> UpstreamSettings {
    UpstreamSettings::new(vec![Replica::at(address)])
}

/// A server within this process, which `make` makes for each connection.
pub fn in_memory<H: ServerHandler>(make: impl Fn() -> H + Send + Sync + 'static) -> UpstreamSettings {
    let server = InMemory::new(move || Ok(streams::to_server(make())));
    UpstreamSettings::new(vec![Replica::new(Reach::InMemory(server))])
}
