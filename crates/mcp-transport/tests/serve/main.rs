//! The serving half under attack and under bad luck: real sockets, and clients that break every rule.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]
#![expect(deprecated, reason = "log messages are of both eras, and the newer one deprecates them")]

mod access;
mod ending;
mod limits;
mod messages;
mod sessions;
mod subscriptions;
mod support;
mod wire;
