//! Pipelines over scripted tools and the real journal.

mod checks;
mod limits;
mod parts;
mod refusals;
mod resume;
mod runs;
mod support;
