#![doc = include_str!("../README.md")]

mod client;
mod listening;
mod servers;
pub mod streams;
mod upstreams;
mod wire;

pub use client::{Client, call, connect};
pub use listening::Listening;
pub use servers::{Assistant, Documents, Echo, News, Stocks, Weather};
pub use upstreams::{at, gateway, in_memory};
pub use wire::Wire;
