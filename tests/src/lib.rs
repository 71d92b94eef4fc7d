#![doc = include_str!("../README.md")]

pub mod messenger;
pub mod programs;
pub mod stubs;
pub mod world;
