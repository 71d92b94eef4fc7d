//! Why a request has no outcome, and whether it may have been carried out.

use std::{error::Error, time::Duration};

use http::{HeaderMap, StatusCode};

use crate::{
    ConnectError, RequestError,
    connect::{authorizer::AuthorizeError, http_client::retry_after, link::LinkError},
};

/// What is known of a request that has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The server has not begun to work on it.
    NotDelivered,
    /// The same, and the server does not know the session any more.
    Forgotten,
    /// The same, and this request will never be accepted.
    Unacceptable,
    /// The server has worked on it, and says more than is accepted.
    TooLarge,
    /// The server may have worked on it.
    Lost,
    /// The server does not let us in.
    Refused,
}

/// Why a request has no outcome.
#[derive(Debug)]
pub(in crate::dial) struct HttpError {
    fate: Fate,
    cause: LinkError,
    retry_after: Option<Duration>,
}

impl HttpError {
    pub(super) fn new(fate: Fate, cause: LinkError) -> Self {
        Self { fate, cause, retry_after: None }
    }

    /// The answer is gone or is none; `reason` says why.
    pub(super) fn lost(reason: impl Into<String>) -> Self {
        Self::new(Fate::Lost, LinkError::Protocol(reason.into()))
    }

    /// The server refused by this status, and its answer says nothing more.
    pub(super) fn status(fate: Fate, status: StatusCode, headers: &HeaderMap) -> Self {
        let retry_after = retry_after(headers);
        let cause = LinkError::Status { status, challenge: None, retry_after };
        Self { fate, cause, retry_after }
    }

    pub(super) fn forgotten() -> Self {
        Self::new(Fate::Forgotten, LinkError::Protocol("the server has forgotten the session".into()))
    }

    pub(super) fn closed(fate: Fate) -> Self {
        Self::new(fate, LinkError::Closed)
    }

    pub(super) fn fate(&self) -> Fate {
        self.fate
    }

    /// Whether the connection failed, and not the server.
    pub(super) fn is_broken_connection(&self) -> bool {
        matches!(self.cause, LinkError::Http(_))
    }

    /// Whether the server refused by a status that says that it does not know such requests.
    pub(in crate::dial) fn is_older_era(&self) -> bool {
        let LinkError::Status { status, .. } = self.cause else { return false };
        status.is_client_error() && !matches!(status.as_u16(), 401 | 403 | 408 | 429)
    }

    /// Why there is no connection, if this was part of the handshake.
    pub(in crate::dial) fn into_connect_error(self, address: String) -> ConnectError {
        ConnectError::link(address, self.cause)
    }
}

impl From<HttpError> for RequestError {
    fn from(error: HttpError) -> Self {
        let reason = words(&error.cause);
        match error.fate {
            Fate::NotDelivered | Fate::Forgotten => {
                Self::NotDelivered { reason, retry_after: error.retry_after }
            }
            Fate::Unacceptable => Self::Unacceptable { reason },
            Fate::TooLarge => Self::TooLarge { reason },
            Fate::Lost => Self::Lost { reason },
            Fate::Refused => Self::Refused { reason },
        }
    }
}

/// Why a request was not sent, or got no answer at all.
impl From<LinkError> for HttpError {
    fn from(cause: LinkError) -> Self {
        let fate = match &cause {
            LinkError::Http(error) if was_not_sent(error) => Fate::NotDelivered,
            LinkError::Status { .. } => Fate::Refused, // 401 and 403: see `Wire::send`
            LinkError::NotAuthorized(error) => match error.reason {
                AuthorizeError::Denied(_) => Fate::Refused,
                AuthorizeError::Unavailable(_) => Fate::NotDelivered,
            },
            _ => Fate::Lost,
        };
        Self::new(fate, cause)
    }
}

/// Whether no byte of the request can have reached the server, or the server says that it did nothing with it.
///
/// A connection of the pool that turns out to be closed before anything is written is replaced by hyper itself. What was
/// written to a connection that the server closed at the same moment may have been read: that cannot be told.
pub(in crate::dial) fn was_not_sent(error: &reqwest::Error) -> bool {
    error.is_connect()
        || error.is_builder()
        || causes(error).any(|cause| {
            let was_not_begun = cause.downcast_ref().is_some_and(hyper::Error::is_canceled);
            was_not_begun || cause.downcast_ref().is_some_and(was_declined)
        })
}

/// HTTP/2 tells which requests a server that stops, or has too many, has not looked at.
fn was_declined(error: &h2::Error) -> bool {
    let declined = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    let stopped = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
    error.is_remote() && (declined || stopped)
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The error and what really happened, without the layers in between.
pub(in crate::dial) fn words(error: &LinkError) -> String {
    let cause = causes(error).last().filter(|_| error.source().is_some());
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
