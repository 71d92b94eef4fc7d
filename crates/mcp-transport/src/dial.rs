//! Connecting for programs that pass messages on: a line carries raw messages to one server and back.

mod delivery;
mod errand;
mod handshake;
mod http;
mod line;
mod mux;
mod open;
mod pump;
mod questions;
mod reports;
mod token;
mod way;

use std::time::Duration;

use async_trait::async_trait;
use json_rpc::{Notification, Outcome, Raw};

pub use line::Line;
pub use open::{dial, dial_streams};

/// Who we are, as servers are told.
#[derive(Debug, Clone)]
pub struct ClientCard {
    /// `clientInfo`: an object with at least a name and a version.
    pub info: Raw,
    /// `capabilities` of `initialize`, and `io.modelcontextprotocol/clientCapabilities` of what the line asks by itself.
    pub capabilities: Raw,
}

/// What a server says and asks outside of any request.
#[async_trait]
pub trait LineHost: Send + Sync + 'static {
    /// Hears a notification, in the order in which they come; must not block.
    fn told(&self, notification: Notification);
    /// Answers a request of the server. It is dropped when the server cancels it, or the line ends.
    async fn asked(&self, method: &str, params: Option<Raw>) -> Outcome;
}

/// What a server says and asks while it answers one request.
#[async_trait]
pub trait Party: Send + Sync {
    /// Hears a notification that belongs to the request: progress under its token, and what came on its stream. In order, and
    /// before the answer. Waiting here slows the server down.
    async fn told(&self, notification: Notification);
    /// Answers a request that the server made because of this one. Dropped when the server cancels it, or the request ends.
    async fn asked(&self, method: &str, params: Option<Raw>) -> Outcome;
}

/// A request for a server.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// What is asked for.
    pub method: std::borrow::Cow<'static, str>,
    /// The parameters, complete: in the newer era with what its `_meta` must say (see [`Line::stamp`]).
    pub params: Option<Raw>,
    /// What HTTP headers of the newer era repeat of the arguments: names after `Mcp-Param-`, and values.
    pub mirrored: Vec<(String, String)>,
}

/// Why a request has no outcome.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestError {
    /// The server has certainly not begun to work on it: it can be sent again.
    #[error("the request was not delivered: {reason}")]
    NotDelivered {
        /// What happened.
        reason: String,
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The server, or what stands in front of it, does not accept this request, and has not begun to work on it: the same would
    /// be refused again, while others are not.
    #[error("the request was not accepted: {reason}")]
    Unacceptable {
        /// Which status says so.
        reason: String,
    },
    /// The server has worked on it, and what it sent is larger than what is accepted: the same would come again.
    #[error("the answer is too large: {reason}")]
    TooLarge {
        /// How large it may be.
        reason: String,
    },
    /// The server may have worked on it.
    #[error("the answer was lost: {reason}")]
    Lost {
        /// What happened.
        reason: String,
    },
    /// The server does not let us in.
    #[error("the server refuses the credentials: {reason}")]
    Refused {
        /// What it says.
        reason: String,
    },
}
