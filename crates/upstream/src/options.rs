//! How an upstream is used.

use std::time::Duration;

use mcp_transport::ConnectOptions;
use resilience::Backoff;
use rmcp::model::Implementation;

use crate::{Limits, connection::random_fraction};

/// How an upstream is used.
#[derive(Clone)]
pub struct Options {
    /// Who we say we are.
    pub client: Implementation,
    /// How it is connected to.
    pub connect: ConnectOptions,
    /// How often connecting is tried, and how long is waited in between. As often a child that ends soon after it was started
    /// is started without being asked for; a server on the network that was there once is tried again, after the longest
    /// wait at most, until it is there or is closed. 4 times, with 0.5 to 10 seconds in between.
    pub backoff: Backoff,
    /// Time limits of calls.
    pub limits: Limits,
}

impl Options {
    /// How long to wait after so many failures when nothing gives up.
    pub(crate) fn wait_after(&self, failures: u32) -> Duration {
        let endless = Backoff { attempts: u32::MAX, ..self.backoff };
        endless.wait_after(failures, None, random_fraction()).unwrap_or(self.backoff.max)
    }
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
