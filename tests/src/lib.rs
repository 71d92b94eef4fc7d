#![doc = include_str!("../README.md")]

pub mod bridge;
pub mod caller;
pub mod fault;
pub mod fixture;
pub mod ledger_file;
pub mod lossy_proxy;
pub mod mcp_client;
pub mod messenger;
pub mod moody;
pub mod programs;
pub mod stubs;
pub mod world;
