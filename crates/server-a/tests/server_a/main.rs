//! server-a with a stand-in for server-b.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod asking;
mod attempts;
mod changes;
mod completions;
mod logging;
mod messenger;
mod network;
mod process;
mod prompts;
mod protocol;
mod resources;
mod session;
mod support;
mod tasks;
