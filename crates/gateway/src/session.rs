//! What is known of one client.

use std::sync::{
    OnceLock, Weak,
    atomic::{AtomicU8, Ordering},
};

use auth::Caller;
use json_rpc::{Members, Raw};
use mcp_transport::{Arrival, Link, TransportKind};

use crate::{bridge::Level, relay::Relay};

/// One client: a session of the older era, a connection, or one request over HTTP in the newer era.
pub struct Session {
    /// Its number, never used again.
    pub(crate) number: u64,
    pub(crate) caller: Caller,
    transport: TransportKind,
    /// Whether it is here for one request only.
    pub(crate) is_brief: bool,
    /// Leads to it outside of any request.
    pub(crate) link: Link,
    introduction: OnceLock<Introduction>,
    level: AtomicU8,
    relay: Weak<Relay>,
}

/// What a client of the older era said of itself in `initialize`.
pub(crate) struct Introduction {
    /// What the client can do and the gateway can pass on: an object.
    pub(crate) capabilities: Raw,
}

/// Whom a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) caller: Caller,
    pub(crate) transport: TransportKind,
    /// The number of the session; `None` for a client that is here for one request only.
    pub(crate) session: Option<u64>,
}

/// The era of the protocol that a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    Older,
    Newer,
}

impl Session {
    pub(crate) fn new(number: u64, arrival: Arrival, relay: Weak<Relay>) -> Self {
        Self {
            number,
            caller: arrival.caller,
            transport: arrival.transport,
            is_brief: arrival.is_brief,
            link: arrival.link,
            introduction: OnceLock::new(),
            level: AtomicU8::new(Level::Info as u8),
            relay,
        }
    }

    /// Whom a request of this client comes from.
    pub(crate) fn origin(&self) -> Origin {
        let Self { number, caller, transport, is_brief, .. } = *self;
        Origin { caller, transport, session: (!is_brief).then_some(number) }
    }

    /// What the client said of itself, once it has.
    pub(crate) fn introduction(&self) -> Option<&Introduction> {
        self.introduction.get()
    }

    /// Notes what the client said of itself: whether this is the first time.
    pub(crate) fn introduce(&self, capabilities: &Raw) -> bool {
        let capabilities = relayable(capabilities);
        self.introduction.set(Introduction { capabilities }).is_ok()
    }

    /// The least log messages that a client of the older era wants: `info` until it says.
    pub(crate) fn level(&self) -> Level {
        Level::at(self.level.load(Ordering::Relaxed)).unwrap_or(Level::Info)
    }

    pub(crate) fn set_level(&self, level: Level) {
        self.level.store(level as u8, Ordering::Relaxed);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.is_brief
            && let Some(relay) = self.relay.upgrade()
        {
            relay.left(self.number, self.level());
        }
    }
}

/// What a client can do, without what cannot be passed on: servers cannot ask the client about tasks of its own.
fn relayable(capabilities: &Raw) -> Raw {
    match Members::of(capabilities) {
        // Always written anew: what is kept must not keep the whole message in memory that it came in.
        Ok(mut members) => {
            members.remove("tasks");
            members.to_raw()
        }
        Err(_) => Raw::empty_object(),
    }
}
