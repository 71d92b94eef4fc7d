#![doc = include_str!("../README.md")]

mod problem;
mod process;
mod rules;
mod service;
mod stream;

pub use problem::{FieldError, Problem};
pub use process::{
    CONTEXT_MAX_CHARS, CostProvenance, FinishReason, HISTORY_MAX_TURNS, MESSAGE_MAX_CHARS, ProcessRequest,
    ProcessResponse, ResponseStatus, Role, TURN_MAX_CHARS, Turn, UsageReport,
};
pub use service::{AiHealth, AiStatus, ConfigResponse, HealthResponse, HealthStatus, ModelsResponse};
pub use stream::{DONE, StreamEnd, StreamError, StreamEvent, StreamPiece};
