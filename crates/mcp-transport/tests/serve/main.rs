//! The serving half, over real sockets and streams, with clients that are no part of it.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![expect(
    deprecated,
    reason = "clients of both eras are served, and the newer one deprecates parts of the older"
)]

mod access;
mod calls;
mod client;
mod disconnect;
mod eras;
mod http;
mod malformed;
mod resume;
mod sessions;
mod slow;
mod stop;
mod subscriptions;
mod support;
