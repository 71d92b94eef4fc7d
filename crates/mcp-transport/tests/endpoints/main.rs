//! Endpoints on every wire that has one connection for everything, with clients that are no part of it.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod calls;
mod client;
mod ends;
mod malformed;
mod questions;
mod rmcp_clients;
mod support;
