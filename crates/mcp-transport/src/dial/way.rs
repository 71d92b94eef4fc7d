//! The two ways to a server: one stream for everything, or an HTTP request for each.

use std::sync::Arc;

use json_rpc::{Notification, Outcome};

use super::{Outgoing, Party, RequestError, http::HttpError, mux::Mux, reports::HttpWay};
use crate::{ConnectError, connect::link::LinkError};

/// A way to one server.
pub(super) enum Way {
    Mux(Mux),
    Http(HttpWay),
}

/// Why the server does not shake hands.
pub(super) enum Refusal {
    Link(LinkError),
    Http(HttpError),
    Told(RequestError),
}

impl Way {
    /// Sends a message of the handshake: `server/discover` of this version, or `initialize` without one.
    pub(super) async fn introduce(
        &self,
        request: Outgoing,
        version: Option<&str>,
    ) -> Result<Outcome, Refusal> {
        match self {
            Self::Mux(mux) => mux.introduce(request).await.map_err(Refusal::Link),
            Self::Http(http) => http.line.introduce(request, version).await.map_err(Refusal::Http),
        }
    }

    /// Tells that the handshake is over.
    pub(super) async fn initialized(&self) -> Result<(), Refusal> {
        let initialized = Notification::new("notifications/initialized", None);
        match self {
            Self::Mux(mux) => mux.notify(initialized).await.map_err(Refusal::Link),
            Self::Http(http) => http.line.notify(initialized).await.map_err(Refusal::Told),
        }
    }

    /// What both agreed on.
    pub(super) fn agree(&self, version: &str, is_modern: bool) {
        match self {
            Self::Mux(mux) => mux.agree(is_modern),
            Self::Http(http) => http.line.agree(version, is_modern),
        }
    }

    /// In the older era, after the handshake: waits until the server can ask and tell.
    pub(super) async fn listen(&self) {
        match self {
            Self::Mux(_) => {} // it can all the time
            Self::Http(http) => http.line.listen().await,
        }
    }

    /// Sends a request and waits for its outcome.
    pub(super) async fn request(
        &self,
        request: Outgoing,
        party: Option<Arc<dyn Party>>,
    ) -> Result<Outcome, RequestError> {
        match self {
            Self::Mux(mux) => Ok(mux.request(request, party).await?),
            Self::Http(http) => http.request(request, party).await,
        }
    }

    /// Whether what the server asks surely belongs to the request during which it comes.
    pub(super) fn keeps_requests_apart(&self) -> bool {
        match self {
            Self::Mux(_) => false,
            Self::Http(_) => true,
        }
    }

    pub(super) async fn notify(&self, notification: Notification) -> Result<(), RequestError> {
        match self {
            Self::Mux(mux) => Ok(mux.notify(notification).await?),
            Self::Http(http) => http.line.notify(notification).await,
        }
    }

    pub(super) async fn ended(&self) {
        match self {
            Self::Mux(mux) => mux.end().begun.cancelled().await,
            Self::Http(http) => http.line.ended().await,
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        match self {
            Self::Mux(mux) => mux.end().begun.is_cancelled(),
            Self::Http(http) => http.line.is_ended(),
        }
    }

    pub(super) fn why_ended(&self) -> Option<String> {
        match self {
            Self::Mux(mux) => mux.end().reason.get().cloned(),
            Self::Http(http) => http.line.why_ended(),
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Mux(mux) => mux.close().await,
            Self::Http(http) => http.line.close().await,
        }
    }

    /// Ends what has not become a connection.
    pub(super) async fn cut(&self) {
        match self {
            Self::Mux(mux) => mux.cut().await,
            Self::Http(http) => http.line.close().await,
        }
    }
}

impl Refusal {
    pub(super) fn is_older_era(&self) -> bool {
        match self {
            Self::Link(error) => error.is_older_era(),
            Self::Http(error) => error.is_older_era(),
            Self::Told(_) => false,
        }
    }

    pub(super) fn into_connect_error(self, address: String) -> ConnectError {
        match self {
            Self::Link(error) => ConnectError::link(address, error),
            Self::Http(error) => error.into_connect_error(address),
            Self::Told(error) => ConnectError::Unreachable { address, cause: Box::new(error) },
        }
    }
}
