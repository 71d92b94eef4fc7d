//! The body of a request: as much of it as a message may have, and within a time.

use std::{sync::Arc, time::Duration};

use axum::{http::StatusCode, response::Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    decode::too_large,
    reply::{busy, error, refuse},
};

/// What is too large is read on up to this many times the limit, and thrown away: a client that is still sending would not
/// see the answer.
const PATIENCE: usize = 4;

/// Bytes of all bodies together that are kept in memory, in kibibytes; small ones are not counted.
pub(crate) const BUDGET_KIB: usize = 64 * 1024;
/// What is not counted of each.
const SMALL: usize = 16 * 1024;

/// A body, with its part of the budget.
pub(crate) struct Body {
    pub(crate) bytes: Bytes,
    pub(crate) part: Part,
}

/// What a body takes of the budget, for as long as anything of it is kept.
#[derive(Default)]
pub(crate) struct Part {
    _held: Option<OwnedSemaphorePermit>,
}

enum Failure {
    TooLarge,
    NoBudget,
    Broken,
}

/// Reads a body of at most `limit` bytes, or says why that is impossible.
pub(crate) async fn read(
    body: axum::body::Body,
    limit: usize,
    wait: Duration,
    budget: &Arc<Semaphore>,
) -> Result<Body, Response> {
    match timeout(wait, collect(body, limit, budget)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(Failure::TooLarge)) => Err(error(StatusCode::PAYLOAD_TOO_LARGE, &too_large(limit))),
        Ok(Err(Failure::NoBudget)) => {
            Err(busy("too many large messages arrive at once: try again later", "1"))
        }
        Ok(Err(Failure::Broken)) => Err(refuse(StatusCode::BAD_REQUEST, "the request broke off")),
        Err(_) => Err(refuse(StatusCode::REQUEST_TIMEOUT, "the request took too long to arrive")),
    }
}

async fn collect(mut body: axum::body::Body, limit: usize, budget: &Arc<Semaphore>) -> Result<Body, Failure> {
    let (mut read, mut size) = (BytesMut::new(), 0);
    let mut part: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Failure::Broken)?.into_data() else { continue };
        size += data.len();
        if size > limit.saturating_mul(PATIENCE) {
            break;
        }
        if size > limit {
            (read, part) = (BytesMut::new(), None);
            continue;
        }
        let wanted = size.saturating_sub(SMALL).div_ceil(1024);
        let held = part.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if let Some(more) =
            wanted.checked_sub(held).and_then(|more| u32::try_from(more).ok()).filter(|more| *more > 0)
        {
            let more = budget.clone().try_acquire_many_owned(more).map_err(|_| Failure::NoBudget)?;
            match &mut part {
                Some(part) => part.merge(more),
                None => part = Some(more),
            }
        }
        read.extend_from_slice(&data);
    }
    if size > limit {
        Err(Failure::TooLarge)
    } else {
        Ok(Body { bytes: read.freeze(), part: Part { _held: part } })
    }
}
