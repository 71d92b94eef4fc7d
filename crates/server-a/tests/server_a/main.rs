//! server-a with a stand-in for server-b.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod attempts;
mod messenger;
mod process;
mod protocol;
mod support;
