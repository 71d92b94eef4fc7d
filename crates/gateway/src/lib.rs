#![doc = include_str!("../README.md")]

mod bridge;
mod catalogue;
mod errors;
mod explanation;
mod fleet;
mod gateway;
mod health;
mod identity;
mod relay;
mod session;
mod settings;

pub use explanation::Explanation;
pub use gateway::Gateway;
pub use health::{Health, UpstreamHealth, UpstreamState};
pub use settings::{
    Balance, Breaker, InMemory, Reach, Replica, Restarts, Retries, Sessions, Settings, UpstreamSettings,
};
