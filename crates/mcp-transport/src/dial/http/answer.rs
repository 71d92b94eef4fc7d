//! What the answer to a POST request means.

use bytes::{Bytes, BytesMut};
use http::{
    StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use json_rpc::{Error, Id, Message, Outcome, Raw, Response as Answered};
use reqwest::Response;
use serde::Deserialize;

use super::{
    fate::{Fate, HttpError},
    wire::text,
};
use crate::connect::{
    events::{EVENT_STREAM, Events},
    http_client::{is_about_request, is_wrong_place},
    link::LinkError,
};
use crate::our_id::number;

/// What TypeScript servers answer to a session that they do not know, with status 400 and without an id.
const NO_VALID_SESSION: i64 = -32_000;
/// Largest refusal that is read, in bytes.
const MAX_REFUSAL: usize = 64 << 10;
/// Room that is made for an answer before it has come, in bytes.
const MAX_PROMISED: usize = 256 << 10;

/// A request that was answered.
pub(super) enum Answer {
    Outcome(Outcome),
    /// The outcome, and perhaps more before it, comes as events.
    Events(Box<Events>),
}

/// What a request is known by when its answer is read.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) id: u64,
    pub(super) in_session: bool,
    /// Largest message that is accepted, in bytes.
    pub(super) limit: usize,
}

impl Asked {
    /// What the server says to the request.
    pub(super) async fn read(self, mut response: Response) -> Result<Answer, HttpError> {
        let status = response.status();
        if !status.is_success() {
            return self.refusal(response).await.map(Answer::Outcome);
        }
        let kind = text(response.headers().get(CONTENT_TYPE)).unwrap_or_default();
        if kind.starts_with(EVENT_STREAM) {
            let events = Events::new(response, self.limit).map_err(not_read)?;
            return Ok(Answer::Events(Box::new(events)));
        }
        if !is_json(kind) {
            let kind = if kind.is_empty() { "nothing" } else { kind };
            let found = format!("it answered with {kind} and HTTP {status}");
            return Err(HttpError::new(Fate::Lost, LinkError::NotMcp(found)));
        }
        let body = body(&mut response, self.limit).await.map_err(not_read)?;
        self.outcome(&body).map(Answer::Outcome)
    }

    fn outcome(self, body: &Bytes) -> Result<Outcome, HttpError> {
        match Message::read(body) {
            Ok(Message::Response(response)) if self.is_answered_by(response.id.as_ref()) => {
                Ok(response.outcome)
            }
            Ok(_) => Err(HttpError::lost("its answer is no response to the request")),
            Err(error) => Err(HttpError::lost(format!("its answer cannot be read: {error}"))),
        }
    }

    /// Whether a response with this id is to this request. Without an id it can be to no other.
    pub(super) fn is_answered_by(self, id: Option<&Id>) -> bool {
        id.is_none_or(|id| number(id) == Some(self.id))
    }

    /// What a server means by a status that is not a success.
    pub(super) async fn refusal(self, mut response: Response) -> Result<Outcome, HttpError> {
        let (status, headers) = (response.status(), response.headers().clone());
        let refused = |fate| Err(HttpError::status(fate, status, &headers));
        let is_json = text(headers.get(CONTENT_TYPE)).is_some_and(is_json);
        let body = if is_json { body(&mut response, MAX_REFUSAL).await.ok() } else { None };
        let said = body.and_then(|body| match Message::read(&body) {
            Ok(Message::Response(Answered { id, outcome: Err(error) })) => Some((id, error)),
            _ => None,
        });
        let is_named = said.as_ref().is_some_and(|(id, _)| id.is_some() && self.is_answered_by(id.as_ref()));
        let error = said.map(|(_, error)| error);
        if self.in_session && is_about_session(status, is_named, error.as_ref()) {
            return Err(HttpError::forgotten());
        }
        match (status, error) {
            (StatusCode::TOO_MANY_REQUESTS, _) => refused(Fate::NotDelivered),
            // Whoever names a time is busy, and has not begun.
            (StatusCode::SERVICE_UNAVAILABLE, _) if headers.contains_key(RETRY_AFTER) => {
                refused(Fate::NotDelivered)
            }
            // Somebody in front of the server may have said it, and does not know what the server did, unless it names the
            // request: a handler that takes too long is a 408, and a server that dies at work is a 503 of many proxies.
            (
                StatusCode::REQUEST_TIMEOUT
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT,
                _,
            ) if !is_named => refused(Fate::Lost),
            (_, Some(error)) => Ok(Err(error)),
            // It was done, and what came of it is over there.
            (StatusCode::SEE_OTHER, None) => refused(Fate::Lost),
            // Some servers say no more than this of a session that they have forgotten.
            (StatusCode::BAD_REQUEST, None) if self.in_session => refused(Fate::NotDelivered),
            _ if is_about_request(status) => refused(Fate::Unacceptable),
            _ if is_wrong_place(status) => refused(Fate::NotDelivered),
            _ => refused(Fate::Lost),
        }
    }
}

/// Whether a server refuses because it does not know the session.
fn is_about_session(status: StatusCode, is_named: bool, error: Option<&Raw>) -> bool {
    #[derive(Deserialize)]
    struct Said {
        code: i64,
    }
    let code = error.and_then(|error| error.parse::<Said>().ok()).map(|said| said.code);
    match status {
        StatusCode::NOT_FOUND => code != Some(Error::METHOD_NOT_FOUND),
        StatusCode::BAD_REQUEST => !is_named && code == Some(NO_VALID_SESSION),
        _ => false,
    }
}

fn is_json(kind: &str) -> bool {
    kind.starts_with("application/json")
}

/// The answer has begun, so the request was read.
pub(super) fn not_read(cause: LinkError) -> HttpError {
    let fate = if matches!(cause, LinkError::TooLarge(_)) { Fate::TooLarge } else { Fate::Lost };
    HttpError::new(fate, cause)
}

/// The body, read to its end, so that the connection can be used again.
async fn body(response: &mut Response, limit: usize) -> Result<Bytes, LinkError> {
    let too_large = || LinkError::TooLarge(format!("its answer has more than {limit} bytes"));
    let length = response.content_length().map_or(Ok(0), usize::try_from).unwrap_or(usize::MAX);
    if length > limit {
        return Err(too_large());
    }
    let Some(first) = chunk(response).await? else { return Ok(Bytes::new()) };
    let Some(second) = chunk(response).await? else {
        return if first.len() > limit { Err(too_large()) } else { Ok(first) };
    };
    // Not all that it promises to send: many answers may come at once, and promises cost nothing.
    let mut body = BytesMut::with_capacity(length.min(MAX_PROMISED).max(first.len() + second.len()));
    body.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(chunk_read) = next {
        if body.len() + chunk_read.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk_read);
        next = chunk(response).await?;
    }
    Ok(body.freeze())
}

async fn chunk(response: &mut Response) -> Result<Option<Bytes>, LinkError> {
    response.chunk().await.map_err(|error| LinkError::Http(error.without_url()))
}
