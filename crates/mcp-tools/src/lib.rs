#![doc = include_str!("../README.md")]

mod arguments;
mod reply;
mod schema;

pub use arguments::Arguments;
pub use reply::Reply;
pub use schema::{input, output};
