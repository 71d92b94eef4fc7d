//! Why a request of a connection that was up has failed.

use std::error::Error;

use rmcp::transport::{DynamicTransportError, streamable_http_client::StreamableHttpError};

use super::{Address, ConnectError, authorizer::NotAuthorized, link::LinkError};

/// Why a request could not be sent, or got no answer.
#[derive(Debug)]
pub struct FailedRequest {
    /// What went wrong, without secrets.
    pub error: ConnectError,
    /// How far it came.
    pub reached: Reached,
}

/// How far a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// It was not carried out: it did not reach the server, or was refused for want of credentials that nobody could get.
    Nobody,
    /// The connection broke: it may have reached the server.
    Perhaps,
    /// Something answered, but not as MCP wants it.
    Somebody,
}

impl FailedRequest {
    /// What the error of a request to this server means.
    #[must_use]
    pub fn new(address: &Address, error: DynamicTransportError) -> Self {
        let cause: &(dyn Error + 'static) = &*error.error;
        let reached = match cause.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
            Some(StreamableHttpError::Client(error)) => Reached::before(error),
            Some(StreamableHttpError::Io(error))
                if error.get_ref().is_some_and(|error| error.is::<NotAuthorized>()) =>
            {
                Reached::Nobody
            }
            Some(
                StreamableHttpError::UnexpectedServerResponse(_)
                | StreamableHttpError::UnexpectedContentType(_)
                | StreamableHttpError::HttpStatus(_)
                | StreamableHttpError::ResponseBodyTooLarge { .. }
                | StreamableHttpError::Deserialize(_),
            ) => Reached::Somebody,
            Some(_) => Reached::Perhaps,
            None => match cause.downcast_ref::<LinkError>() {
                Some(LinkError::Http(error)) => Reached::before(error),
                Some(LinkError::NotAuthorized(_)) => Reached::Nobody,
                Some(
                    LinkError::Status { .. }
                    | LinkError::NotMcp(_)
                    | LinkError::Protocol(_)
                    | LinkError::TooLarge(_),
                ) => Reached::Somebody,
                _ => Reached::Perhaps,
            },
        };
        Self { error: ConnectError::transport(address.to_string(), error), reached }
    }
}

impl Reached {
    fn before(error: &reqwest::Error) -> Self {
        if error.is_connect() { Self::Nobody } else { Self::Perhaps }
    }
}
