//! The serving half: a handler, and the listeners that it is offered on.

mod access;
mod channel;
mod decode;
mod guard;
mod lines;
mod mount;
mod network;
mod reply;
mod session;
mod sessions;
mod socket;
mod sse;
mod stamp;
mod stdio;
mod streamable;

pub use network::{BindError, NetworkServer};
pub use session::SessionError;
pub use stdio::{serve_stdio, serve_streams};
