//! The gateway in memory: clients and servers of raw messages, and of rmcp, with the gateway between them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod absent;
mod across;
mod batch;
mod cache;
mod calls;
mod client;
mod clients;
mod fidelity;
mod following;
mod following_sdk;
mod introductions;
mod own;
mod pins;
mod pipelines;
mod reload;
mod resuming;
mod rules;
mod search;
mod server;
mod support;
mod tasks;
mod texts;
mod trail;
mod whose;
