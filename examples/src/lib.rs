#![doc = include_str!("../README.md")]

mod client;
mod listening;
mod servers;
pub mod streams;
mod upstreams;
mod wire;

pub use client::{Client, call, connect, structured};
pub use listening::Listening;
pub use servers::{Assistant, Documents, Echo, News, Stocks, Weather};
pub use upstreams::{at, configured, gateway, in_memory, started};
pub use wire::Wire;
