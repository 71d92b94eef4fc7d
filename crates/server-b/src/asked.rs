//! From an HTTP request to a question: the checks before a message is answered.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use ledger::IdempotencyKey;
use models::ProcessRequest;
use sha2::{Digest as _, Sha256};

use crate::{
    app::{App, Slot},
    body::parse_request,
    error::ApiError,
    observe::RequestContext,
    responder::Question,
};

/// Largest body of a request, in bytes: a full history of ordinary turns fits.
const MAX_BODY: usize = 4 << 20;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_KEY: usize = 255;

/// A valid message in the body of a request, with the place that it takes.
pub(crate) struct Asked {
    pub(crate) question: Question,
    pub(crate) slot: Slot,
}

impl FromRequest<Arc<App>> for Asked {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Self::Rejection> {
        if !is_json(request.headers()) {
            return Err(ApiError::MediaType);
        }
        let context = request.extensions().get::<RequestContext>().copied().ok_or(ApiError::Internal)?;
        let key = idempotency_key(request.headers())?;
        let slot = app.slot()?;
        let message = parse_request(read_body(request).await?.as_ref())?;
        let key = key.map(|key| IdempotencyKey { key, fingerprint: fingerprint(&message) });
        let prompt = app.defaults.prompt(message, context.trace)?;
        Ok(Self { question: Question { prompt, key, started: context.started }, slot })
    }
}

async fn read_body(request: Request) -> Result<impl AsRef<[u8]>, ApiError> {
    let body = Limited::new(request.into_body(), MAX_BODY);
    match tokio::time::timeout(BODY_TIMEOUT, body.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::BodyTooLarge { limit: MAX_BODY }),
        Ok(Err(_)) => Err(ApiError::BodyBroken),
        Err(_) => Err(ApiError::BodyTimedOut),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let fits =
        |key: &&str| (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    value.to_str().ok().filter(fits).map(|key| Some(key.to_owned())).ok_or(ApiError::IdempotencyKey)
}

/// A digest of everything that the caller asked for.
fn fingerprint(request: &ProcessRequest) -> [u8; 32] {
    Sha256::digest(serde_json::to_vec(request).expect("a request is plain data")).into()
}
