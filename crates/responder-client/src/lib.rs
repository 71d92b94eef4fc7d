#![doc = include_str!("../README.md")]

mod answer;
mod client;
mod error;
mod events;

pub use client::{Call, Limits, ResponderClient, SetupError};
pub use error::ResponderError;
