#![doc = include_str!("../README.md")]

mod check;
mod definition;
mod environment;
mod input;
mod log;
mod pipeline;
mod plan;
mod run;
mod shape;
mod stages;
mod template;
mod values;

pub use definition::{Definition, OnError, Problem, Stage, Step};
pub use log::{Entry, Report};
pub use pipeline::Pipeline;
pub use plan::Plan;
pub use run::{Call, Failure, Run, Tools};
