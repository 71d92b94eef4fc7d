//! The serving half: a handler, and the listeners that it is offered on.

mod access;
mod body;
mod channel;
mod decode;
mod endpoints;
mod exchange;
mod farewell;
mod guard;
mod http;
mod known;
mod lifetime;
mod lines;
mod mount;
mod mounted;
mod network;
mod outbox;
mod outgoing;
mod reply;
mod routes;
mod session;
mod sessions;
mod socket;
mod sse;
mod stamp;
mod stdio;
mod streamable;
mod timing;

pub use endpoints::{serve_endpoint, serve_endpoint_streams};
pub use network::{BindError, NetworkServer};
pub use session::SessionError;
pub use stdio::{serve_stdio, serve_stdio_with_grace, serve_streams};
#[doc(hidden)]
pub use timing::Timing;
