//! Connecting: real sockets and real child processes, and servers that do what servers should not.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod children;
mod dialled;
mod faults;
mod handshakes;
mod lines;
mod peer;
mod support;
mod transports;
mod websockets;
