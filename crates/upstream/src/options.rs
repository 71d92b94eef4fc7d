//! How an upstream is used.

use std::time::Duration;

use mcp_transport::ConnectOptions;
use resilience::Backoff;
use rmcp::model::Implementation;

use crate::Limits;

/// How an upstream is used.
#[derive(Clone)]
pub struct Options {
    /// Who we say we are.
    pub client: Implementation,
    /// How it is connected to.
    pub connect: ConnectOptions,
    /// How often connecting is tried, and how long is waited in between. As often a connection that breaks soon after it was
    /// made is made again without being asked for. 4 times, with 0.5 to 10 seconds in between.
    pub backoff: Backoff,
    /// Time limits of calls.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        let (base, max) = (Duration::from_millis(500), Duration::from_secs(10));
        Self {
            client: Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            connect: ConnectOptions::default(),
            backoff: Backoff { attempts: 4, base, max },
            limits: Limits::default(),
        }
    }
}
