//! The body of a request: as much of it as a message may have, and within a time.

use std::time::Duration;

use axum::{body::Body, http::StatusCode, response::Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::{
    decode::too_large,
    reply::{error, refuse},
};

/// What is too large is read on up to this many times the limit, and thrown away: a client that is still sending would not
/// see the answer.
const PATIENCE: usize = 4;

/// Reads a body of at most `limit` bytes, or says why that is impossible.
pub(crate) async fn read(body: Body, limit: usize, wait: Duration) -> Result<Bytes, Response> {
    match timeout(wait, collect(body, limit)).await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => Err(error(StatusCode::PAYLOAD_TOO_LARGE, &too_large(limit))),
        Ok(Err(_)) => Err(refuse(StatusCode::BAD_REQUEST, "the request broke off")),
        Err(_) => Err(refuse(StatusCode::REQUEST_TIMEOUT, "the request took too long to arrive")),
    }
}

/// `None` when the body is too large.
async fn collect(mut body: Body, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    let (mut read, mut size) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        size += data.len();
        if size > limit.saturating_mul(PATIENCE) {
            break;
        }
        if size > limit {
            read = BytesMut::new();
        } else {
            read.extend_from_slice(&data);
        }
    }
    Ok((size <= limit).then(|| read.freeze()))
}
