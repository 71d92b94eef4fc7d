#![doc = include_str!("../README.md")]
#![expect(
    deprecated,
    reason = "clients of both eras are served, and the newer one deprecates parts of the older"
)]

mod client_log;
mod connect;
mod dial;
mod endpoint;
mod line_reader;
mod our_id;
mod pages;
mod request;
mod serve;
mod settings;
mod subscribers;

pub use auth::Caller;
pub use client_log::ClientLog;
pub use connect::{
    Address, AddressError, AuthorizeError, Authorizer, Client, ConnectError, ConnectOptions, Era,
    FailedRequest, NetworkTransport, Reached, Refusal, ServerCommand, connect, is_unreadable,
};
pub use dial::{ClientCard, Line, LineHost, Outgoing, Party, RequestError, dial, dial_streams};
pub use endpoint::{Arrival, Endpoint, Gone, Link, Mirrored};
pub use pages::{page, unknown_cursor};
pub use request::{caller, is_modern};
#[doc(hidden)]
pub use serve::Timing;
pub use serve::{
    BindError, NetworkServer, SessionError, serve_endpoint, serve_endpoint_streams, serve_stdio,
    serve_stdio_with_grace, serve_streams,
};
pub use settings::{NetworkSettings, TransportKind};
pub use subscribers::{Change, Subscriber, Subscribers};
