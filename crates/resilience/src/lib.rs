#![doc = include_str!("../README.md")]

mod backoff;

pub use backoff::Backoff;
