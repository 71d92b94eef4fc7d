#![doc = include_str!("../README.md")]

mod connections;
mod placed;
mod stall;

pub use connections::{Connections, Limits};
