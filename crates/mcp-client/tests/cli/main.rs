//! The program, as people and scripts use it: real processes, real servers.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod bench;
mod broadcast;
mod calls;
mod config;
mod failures;
mod generated;
mod interrupt;
mod listen;
mod lists;
mod secrets;
mod support;
mod test_run;
