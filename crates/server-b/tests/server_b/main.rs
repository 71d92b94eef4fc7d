//! The real server-b and its MCP face, with the mock or a stand-in for a provider.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod cancellation;
mod failures;
mod network;
mod process;
mod provider;
mod support;
mod tools;
