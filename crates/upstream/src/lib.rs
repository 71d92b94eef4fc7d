#![doc = include_str!("../README.md")]
#![expect(
    deprecated,
    reason = "servers of both eras are used, and the newer one deprecates parts of the older"
)]

mod calls;
mod clock;
mod connection;
mod desk;
mod error;
mod handler;
mod host;
mod limits;
mod listening;
mod lists;
mod options;
mod progress;
mod rounds;
mod session;
mod status;
mod tasks;
mod upstream;
mod wishes;

pub use error::CallError;
pub use host::{Abilities, Host, Notice};
pub use limits::{CallOptions, Limits, Progress};
pub use options::Options;
pub use status::{Introduction, Status};
pub use upstream::Upstream;
