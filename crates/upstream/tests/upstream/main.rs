//! Upstreams of real servers: over the network and as child processes, of both eras, well-behaved and not.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]
#![expect(
    deprecated,
    reason = "servers of both eras are used, and the newer one deprecates parts of the older"
)]

mod calls;
mod children;
mod fixture;
mod host;
mod limits;
mod lists;
mod questions;
mod reconnecting;
mod stdio;
mod support;
mod tasks;
