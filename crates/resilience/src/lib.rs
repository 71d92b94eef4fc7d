#![doc = include_str!("../README.md")]

mod backoff;
mod circuit_breaker;

pub use backoff::Backoff;
pub use circuit_breaker::{CircuitBreaker, Open, Pass};
