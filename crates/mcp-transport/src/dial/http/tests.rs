//! The line alone, without the handshake that `dial` does around it.

mod faults;
mod sessions;
mod streams;
mod support;
