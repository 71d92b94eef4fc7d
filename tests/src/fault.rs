//! Servers that fail: raw JSON-RPC over standard input and output or over HTTP, written by hand so that it can be wrong.
//!
//! The program `fault-server` is one of them. A test holds its [`Strings`]: through them it hears what the server does, lets
//! it go on, and learns from the connection's end that the process is gone, however it ended.

mod http;
mod server;
mod stdio;
mod strings;

pub use http::serve as serve_http;
pub use server::{Fault, Server};
pub use stdio::serve as serve_stdio;
pub use strings::{Puppet, Strings};

/// Bytes of text in the answer of [`Fault::Huge`].
pub const HUGE: usize = 50 << 20;
/// The last words of [`Fault::Dies`], on standard error.
pub const LAST_WORDS: &str = "out of cheese";
