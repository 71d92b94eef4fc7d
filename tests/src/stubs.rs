//! Stand-ins for paid services. They listen on 127.0.0.1, speak the wire formats of the real ones byte by byte, misbehave
//! on request, and tell a test what they saw.

pub mod bedrock;
pub mod openai;
mod server;

pub use server::{Request, Server};
