//! Endpoints over Streamable HTTP, with raw requests and with clients of rmcp.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod answers;
mod client;
mod ends;
mod eras;
mod headers;
mod questions;
mod rmcp_clients;
mod sessions;
mod streams;
mod support;
