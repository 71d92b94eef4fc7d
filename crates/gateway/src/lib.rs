#![doc = include_str!("../README.md")]

mod access_log;
mod bridge;
mod cache;
mod canonical;
mod catalogue;
mod errors;
mod explanation;
mod fleet;
mod gateway;
mod health;
mod identity;
mod own;
mod pins;
mod relay;
mod rules;
mod session;
mod settings;
mod trail;

pub use access_log::{AccessLog, AccessLogSettings};
pub use bridge::knows_method;
pub use cache::{CacheScope, CacheSettings};
pub use explanation::{Explanation, WithheldCount};
pub use gateway::Gateway;
pub use health::{Health, UpstreamHealth, UpstreamState};
pub use own::{BatchSettings, Savings};
pub use pins::{PinChange, PinComparison, Pins};
pub use rules::{Filter, Rules};
pub use settings::{
    Balance, Breaker, Expose, InMemory, Reach, Replica, Restarts, Retries, Sessions, Settings,
    UpstreamSettings,
};
