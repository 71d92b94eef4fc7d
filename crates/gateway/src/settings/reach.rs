//! Where upstreams are.

use std::{fmt, io, sync::Arc};

use mcp_transport::{Address, ConnectOptions, NetworkTransport};
use secrecy::ExposeSecret as _;
use tokio::io::DuplexStream;

/// One place where an upstream is.
#[derive(Clone)]
pub struct Replica {
    /// Where it is.
    pub reach: Reach,
    /// How to connect to it: key, headers, largest message. Its timeout and era are the upstream's.
    pub options: ConnectOptions,
}

/// Where a server is.
#[derive(Clone)]
pub enum Reach {
    /// In another process.
    Address(Address),
    /// In this one.
    InMemory(InMemory),
}

/// A server in the same process. It is given one end of a new stream for each connection, and reads and writes a message a line.
#[derive(Clone)]
pub struct InMemory(Arc<Open>);

type Open = dyn Fn() -> io::Result<DuplexStream> + Send + Sync;

impl Replica {
    /// A server that is reached as is usual.
    #[must_use]
    pub fn new(reach: Reach) -> Self {
        Self { reach, options: ConnectOptions::default() }
    }

    /// A server at this address that is reached as is usual.
    #[must_use]
    pub fn at(address: Address) -> Self {
        Self::new(Reach::Address(address))
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.options, &other.options);
        let same_place = match (&self.reach, &other.reach) {
            (Reach::Address(one), Reach::Address(other)) => one == other,
            (Reach::InMemory(one), Reach::InMemory(other)) => Arc::ptr_eq(&one.0, &other.0),
            _ => false,
        };
        let same_key = match (&ours.bearer, &theirs.bearer) {
            (None, None) => true,
            (Some(one), Some(other)) => one.expose_secret() == other.expose_secret(),
            _ => false,
        };
        let same_authorizer = match (&ours.authorizer, &theirs.authorizer) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        let plain = |options: &ConnectOptions| (options.message_bytes, options.keep_alive, options.grace);
        same_place
            && same_key
            && same_authorizer
            && ours.headers == theirs.headers
            && plain(ours) == plain(theirs)
    }
}

impl Reach {
    /// Whether it is a process of ours.
    pub(crate) fn is_child(&self) -> bool {
        matches!(self, Self::Address(address) if address.transport().is_none())
    }

    /// Whether what a server asks comes with the request that it is about.
    pub(crate) fn keeps_requests_apart(&self) -> bool {
        let Self::Address(address) = self else { return false };
        address.transport() == Some(NetworkTransport::Http)
    }
}

impl InMemory {
    /// A server that is reached by what `open` returns: the client's end of a stream whose other end the server has got.
    pub fn new(open: impl Fn() -> io::Result<DuplexStream> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    pub(crate) fn open(&self) -> io::Result<DuplexStream> {
        (self.0)()
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Replica").field(&self.reach).finish()
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::InMemory(server) => server.fmt(f),
        }
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InMemory")
    }
}
