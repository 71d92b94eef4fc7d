#![doc = include_str!("../README.md")]

mod price_list;
mod usage;
mod usd;

pub use price_list::{Cost, PriceError, PriceList, Provenance};
pub use usage::{Usage, estimated_tokens};
pub use usd::Usd;
