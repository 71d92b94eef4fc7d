#![doc = include_str!("../README.md")]

mod about;
mod app;
mod asked;
mod body;
mod config;
mod defaults;
mod error;
mod exchange;
mod face;
mod health;
mod in_flight;
mod mcp;
mod metrics;
mod observe;
mod responder;
mod router;
mod routes;
mod server;
mod streams;

pub use body::{InvalidBody, parse_request};
pub use config::Config;
pub use server::Server;
