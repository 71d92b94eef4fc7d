#![doc = include_str!("../README.md")]
#![expect(
    deprecated,
    reason = "servers of both eras are used, and the newer one deprecates parts of the older"
)]

mod arguments;
mod authorization;
mod bench;
mod check;
mod command_line;
mod commands;
mod duration;
mod environment;
mod exit;
mod generate;
mod host;
mod output;
mod program;
mod progress;
mod render;
mod servers;
mod session;
mod shell;
mod terminal;

pub use exit::Exit;
pub use program::run;
