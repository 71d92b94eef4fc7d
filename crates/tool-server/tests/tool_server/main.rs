//! tool-server over in-memory streams, and the program itself.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[cfg(target_os = "linux")]
mod commands;
#[cfg(target_os = "linux")]
mod memory;
mod program;
mod protocol;
mod support;
