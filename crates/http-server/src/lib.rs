#![doc = include_str!("../README.md")]

mod connections;
mod placed;

pub use connections::{Connections, Limits};
