//! What is known of a request that has no outcome.

use tokio_tungstenite::tungstenite;

use super::{
    RequestError,
    http::fate::{was_not_sent, words},
};
use crate::connect::{authorizer::AuthorizeError, http_client::is_about_request, link::LinkError};

impl From<LinkError> for RequestError {
    fn from(error: LinkError) -> Self {
        let reason = words(&error);
        let not_delivered = |reason| Self::NotDelivered { reason, retry_after: None };
        match error {
            LinkError::Closed | LinkError::Crowded | LinkError::Json(_) => not_delivered(reason),
            LinkError::Http(error) if was_not_sent(&error) => not_delivered(reason),
            LinkError::WebSocket(error) if matches!(*error, tungstenite::Error::Capacity(_)) => {
                not_delivered(reason)
            }
            LinkError::Status { status, retry_after, .. } => match status.as_u16() {
                401 | 403 => Self::Refused { reason },
                503 if retry_after.is_some() => Self::NotDelivered { reason, retry_after },
                // It may have begun: this is said of handlers that take too long.
                408 => Self::Lost { reason },
                _ if is_about_request(status) => Self::Unacceptable { reason },
                400..=499 => Self::NotDelivered { reason, retry_after },
                _ => Self::Lost { reason },
            },
            LinkError::NotAuthorized(error) => match error.reason {
                AuthorizeError::Denied(_) => Self::Refused { reason },
                AuthorizeError::Unavailable(_) => not_delivered(reason),
            },
            LinkError::TooLarge(_) => Self::TooLarge { reason },
            _ => Self::Lost { reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::*;

    #[test]
    fn a_status_tells_whether_a_message_can_be_sent_again() {
        let wait = Some(Duration::from_secs(7));
        for (status, retry_after, is_delivered) in [
            (405, None, Some(false)),
            (429, wait, Some(false)),
            (503, wait, Some(false)),
            (408, None, Some(true)),
            (503, None, Some(true)),
            (502, wait, Some(true)),
            (401, None, None),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = RequestError::from(LinkError::Status { status, challenge: None, retry_after });
            let told = match error {
                RequestError::NotDelivered { retry_after: told, .. } => {
                    assert_eq!(told, retry_after);
                    Some(false)
                }
                RequestError::Lost { .. } => Some(true),
                RequestError::Refused { .. } => None,
                RequestError::Unacceptable { .. } | RequestError::TooLarge { .. } => panic!("{status}"),
            };
            assert_eq!(told, is_delivered, "{status}");
        }
    }

    #[test]
    fn a_status_about_the_request_alone_is_told_from_one_about_the_place() {
        for number in [400, 413, 415, 422, 431] {
            let status = StatusCode::from_u16(number).unwrap();
            let error = RequestError::from(LinkError::Status { status, challenge: None, retry_after: None });
            assert!(matches!(&error, RequestError::Unacceptable { .. }), "{error:?}");
            assert!(error.to_string().contains(&number.to_string()), "{error}");
        }
    }
}
