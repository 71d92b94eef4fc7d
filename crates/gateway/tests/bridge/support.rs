//! What all these tests need.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gateway::{Gateway, InMemory, Reach, Replica, Settings, UpstreamSettings};
use json_rpc::Raw;
use mcp_transport::{ConnectOptions, Era};
use serde_json::Value;

/// Longest wait for anything that must happen. Nothing takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what must happen.
pub async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event).await.expect("this should have happened long ago")
}

/// A JSON value as raw text.
pub fn raw(value: &Value) -> Raw {
    Raw::of(value).unwrap()
}

/// An upstream in memory, in this era, whose names stay as they are.
pub fn plain(server: InMemory, era: Era) -> UpstreamSettings {
    UpstreamSettings { prefix: Some(String::new()), ..prefixed(server, era) }
}

/// An upstream in memory, in this era, whose names begin with its own.
pub fn prefixed(server: InMemory, era: Era) -> UpstreamSettings {
    let replica = Replica { reach: Reach::InMemory(server), options: ConnectOptions::default() };
    UpstreamSettings { era, ..UpstreamSettings::new(vec![replica]) }
}

/// Settings with these upstreams.
pub fn settings(upstreams: impl IntoIterator<Item = (&'static str, UpstreamSettings)>) -> Settings {
    let upstreams: BTreeMap<_, _> =
        upstreams.into_iter().map(|(name, settings)| (name.to_owned(), settings)).collect();
    Settings { upstreams, ..Settings::default() }
}

/// A gateway over these upstreams that knows them.
pub async fn gateway(upstreams: impl IntoIterator<Item = (&'static str, UpstreamSettings)>) -> Arc<Gateway> {
    let gateway = Gateway::new(settings(upstreams));
    soon(gateway.settled()).await;
    gateway
}
