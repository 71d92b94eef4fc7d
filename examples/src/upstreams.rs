//! What a gateway is made of: servers on the network, and servers within this process.

use std::sync::Arc;

use gateway::{Gateway, InMemory, Reach, Replica, Settings, UpstreamSettings};
use mcp_transport::Address;
use rmcp::ServerHandler;

use crate::streams;

/// A gateway that knows what these upstreams offer.
pub async fn gateway<const N: usize>(upstreams: [(&str, UpstreamSettings); N]) -> Arc<Gateway> {
    let upstreams = upstreams.map(|(name, settings)| (name.to_owned(), settings)).into();
    let gateway = Gateway::new(Settings { upstreams, ..Settings::default() });
    gateway.settled().await;
    gateway
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
