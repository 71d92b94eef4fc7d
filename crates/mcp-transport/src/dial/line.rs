//! A connection to one server, as its users see it.

use std::sync::Arc;

use json_rpc::{Members, Notification, Outcome, Raw};

use super::{
    ClientCard, Outgoing, Party, RequestError,
    handshake::{Agreement, meta},
    way::Way,
};
use crate::{ConnectError, connect::child::Process};

/// A connection to one server, in one era. Dropping it closes it in the background; [`Line::close`] waits for that.
pub struct Line {
    way: Way,
    address: String,
    agreement: Agreement,
    /// What every request of the newer era says.
    meta: Members,
    process: Option<Process>,
}

/// What a line is made of.
pub(super) struct Parts {
    pub(super) way: Way,
    pub(super) address: String,
    pub(super) card: ClientCard,
    pub(super) agreement: Agreement,
    pub(super) process: Option<Process>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let version = &self.agreement.version;
        f.debug_struct("Line")
            .field("address", &self.address)
            .field("version", version)
            .finish_non_exhaustive()
    }
}

impl Line {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { way, address, card, agreement, process } = parts;
        Self { way, address, agreement, meta: meta(&card), process }
    }

    /// Whether it speaks the newer era.
    #[must_use]
    pub fn is_modern(&self) -> bool {
        self.agreement.is_modern
    }

    /// The version of MCP that both agreed on, such as `2025-11-25`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.agreement.version
    }

    /// What the server said of itself: the result of `initialize`, or of `server/discover`.
    #[must_use]
    pub fn introduction(&self) -> &Raw {
        &self.agreement.introduction
    }

    /// Whether what a server asks during a request surely belongs to that request: so it is over Streamable HTTP. Over one
    /// stream for everything, a question comes to the [`LineHost`](super::LineHost) unless exactly one request with a party is under way.
    #[must_use]
    pub fn keeps_requests_apart(&self) -> bool {
        self.way.keeps_requests_apart()
    }

    /// Sends a request and waits for its outcome. Dropping the future cancels the request at the server.
    ///
    /// With a `party`, progress is reported to it if the parameters hold a `_meta.progressToken`: the line replaces the token by one
    /// of its own, and gives it back in what it reports.
    ///
    /// # Errors
    /// When there is no outcome, with what is known of the request's fate.
    pub async fn request(
        &self,
        request: Outgoing,
        party: Option<Arc<dyn Party>>,
    ) -> Result<Outcome, RequestError> {
        self.way.request(request, party).await
    }

    /// Tells the server something.
    ///
    /// # Errors
    /// When it cannot be told.
    pub async fn notify(&self, notification: Notification) -> Result<(), RequestError> {
        self.way.notify(notification).await
    }

    /// Parameters with what every request of the newer era says in its `_meta`: the version, and who we are. What is there
    /// already stays; in the older era nothing is added.
    #[must_use]
    pub fn stamp(&self, params: Option<Raw>) -> Option<Raw> {
        if !self.agreement.is_modern {
            return params;
        }
        // What is no object is refused by the server, and better than by us.
        let mut members = match params.as_ref().map(Members::of) {
            None => Members::default(),
            Some(Ok(members)) => members,
            Some(Err(_)) => return params,
        };
        let mut stamped = match members.get("_meta").map(Members::of) {
            None => Members::default(),
            Some(Ok(meta)) => meta,
            Some(Err(_)) => return params,
        };
        for (name, value) in self.meta.iter() {
            if stamped.get(name).is_none() {
                stamped.set(name, value.clone());
            }
        }
        members.set("_meta", stamped);
        Some(members.to_raw())
    }

    /// Waits until the connection has ended or the server has forgotten the session. One over Streamable HTTP has no end of its
    /// own: that its server is gone shows when it is used.
    pub async fn ended(&self) {
        self.way.ended().await;
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.way.is_ended()
    }

    /// Why it has ended, once it has.
    #[must_use]
    pub fn why_ended(&self) -> ConnectError {
        ConnectError::Lost {
            address: self.address.clone(),
            reason: self.way.why_ended(),
            status: self.process.as_ref().and_then(Process::ended_by_itself),
            stderr: self.last_lines(),
        }
    }

    /// The last lines that a child process wrote to its standard error: at most 64, and 16 KiB. They may hold anything.
    #[must_use]
    pub fn last_lines(&self) -> Vec<String> {
        self.process.as_ref().map(|process| process.stderr.lines()).unwrap_or_default()
    }

    /// Closes it and waits until everything that belongs to it is gone, a child process too. Requests that are under way fail.
    pub async fn close(&self) {
        self.way.close().await;
    }
}
