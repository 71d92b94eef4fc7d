#![doc = include_str!("../README.md")]
#![expect(
    deprecated,
    reason = "clients of both eras are served, and the newer one deprecates parts of the older"
)]

mod client_log;
mod era;
mod pages;
mod subscribers;

pub use client_log::ClientLog;
pub use era::is_modern;
pub use pages::{page, unknown_cursor};
pub use subscribers::{Change, Subscriber, Subscribers};
