#![doc = include_str!("../README.md")]

mod error;
mod id;
mod members;
mod message;
mod raw;

pub use error::{Error, ReadError};
pub use id::Id;
pub use members::{Members, MembersError};
pub use message::{Message, Notification, Outcome, Request, Response};
pub use raw::Raw;
