//! The serving half: a handler, and the listeners that it is offered on.

mod access;
mod body;
mod channel;
mod decode;
mod exchange;
mod guard;
mod known;
mod lifetime;
mod lines;
mod mount;
mod network;
mod outbox;
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

pub use network::{BindError, NetworkServer};
pub use session::SessionError;
pub use stdio::{serve_stdio, serve_stdio_with_grace, serve_streams};
#[doc(hidden)]
pub use timing::Timing;
