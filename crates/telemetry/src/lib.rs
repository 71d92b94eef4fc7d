#![doc = include_str!("../README.md")]

mod line_buffer;
mod logs;
mod shutdown;
mod trace_parent;

pub use logs::{LogFormat, LogGuard, LogSettings, init};
pub use shutdown::shutdown_signal;
pub use trace_parent::TraceParent;
