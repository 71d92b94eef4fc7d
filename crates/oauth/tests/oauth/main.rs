//! Logging in and calling: real sockets and files, a real MCP server behind a gate, and an authorization server that does
//! what it is told.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod calls;
mod canary;
mod files;
mod login;
mod machines;
mod renewal;
mod support;
