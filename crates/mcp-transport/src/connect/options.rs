//! How to connect.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use rmcp::{
    model::{ProtocolVersion, ServerNotification},
    service::ClientLifecycleMode,
};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::Authorizer;

/// How to connect to a server. The defaults fit most.
#[derive(Clone)]
pub struct ConnectOptions {
    /// Key that is sent as `Authorization: Bearer …`. With one, a user name and password in the URL are ignored.
    pub bearer: Option<SecretString>,
    /// Gets tokens and renews them, when there is no `bearer`. What it does while connecting is within the timeout.
    pub authorizer: Option<Arc<dyn Authorizer>>,
    /// More headers for every request to the server; not for child processes.
    pub headers: HeaderMap,
    /// Longest wait until the server can be called: connecting, the question for its era, and the handshake. 10 seconds.
    pub timeout: Duration,
    /// The protocol era to speak.
    pub era: Era,
    /// Largest message that is accepted, in bytes: 16 MiB. For clients of `connect` rmcp bounds an answer of Streamable HTTP that is
    /// no stream, with 16 MiB always.
    pub message_bytes: usize,
    /// How often a WebSocket is pinged: every 30 seconds. A server that was silent for twice as long is given up.
    pub keep_alive: Duration,
    /// How long a child process may take to end after its input was closed, and again after `SIGTERM`: 3 seconds each. Then
    /// it is killed.
    pub grace: Duration,
    /// Hears each notification of the server in the order in which they come, and before the answer that it sends next;
    /// rmcp gives each to a task of its own, so handlers see them in any order. It must not block.
    pub listener: Option<Listener>,
    /// Stops an attempt to connect that is under way. Unlike one that is dropped it ends when nothing of it is left.
    pub stop: CancellationToken,
}

/// Hears what a server tells.
pub(super) type Listener = Arc<dyn Fn(&ServerNotification) + Send + Sync>;

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            bearer: None,
            authorizer: None,
            headers: HeaderMap::new(),
            timeout: Duration::from_secs(10),
            era: Era::Auto,
            message_bytes: 16 << 20,
            keep_alive: Duration::from_secs(30),
            grace: Duration::from_secs(3),
            listener: None,
            stop: CancellationToken::new(),
        }
    }
}

/// Which era of the protocol to speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Era {
    /// The newer one if the server knows it, else the older.
    #[default]
    Auto,
    /// 2026-07-28: without a handshake.
    Modern,
    /// 2025-11-25 and earlier: with `initialize`.
    Legacy,
}

impl Era {
    pub(super) fn lifecycle(self) -> ClientLifecycleMode {
        let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
        match self {
            Self::Auto => {
                let legacy_version = Some(ProtocolVersion::LATEST_WITH_INITIALIZE);
                ClientLifecycleMode::Auto { preferred_versions, legacy_version }
            }
            Self::Modern => ClientLifecycleMode::Discover { preferred_versions },
            Self::Legacy => ClientLifecycleMode::Initialize,
        }
    }
}
