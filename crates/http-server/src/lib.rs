#![doc = include_str!("../README.md")]

mod connections;

pub use connections::{Connections, Limits};
