//! Streamable HTTP, both eras on one path. rmcp speaks it; here are the checks and the answers that it leaves out.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use rmcp::{
    ServerHandler,
    model::{ClientRequest, JsonRpcMessage},
    transport::{StreamableHttpServerConfig, StreamableHttpService},
};

use super::{
    access::Credentials,
    decode::{decode, refusal, too_large},
    guard::Guard,
    mount::Mount,
    reply::{error, refuse},
    sessions::Sessions,
};

const SESSION_ID: &str = "mcp-session-id";
/// Seconds after which a client that found no room should come back.
const RETRY_AFTER: &str = "5";
/// Longest text of an answer of rmcp that is put into an error.
const MAX_TEXT: usize = 4 * 1024;

/// The service behind `/mcp`.
pub(crate) struct Streamable<H> {
    service: StreamableHttpService<Guard<H>, Sessions>,
    sessions: Arc<Sessions>,
    max_message: usize,
}

impl<H: ServerHandler> Streamable<H> {
    pub(crate) fn new(mount: Arc<Mount<H>>, sessions: Arc<Sessions>) -> Self {
        let max_message = mount.max_message;
        // Host and Origin are checked for all transports alike, before a request comes here.
        let config = StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .disable_allowed_origins()
            .with_sse_retry(None) // the sessions say it to those who understand it
            .with_json_response(true)
            .with_cancellation_token(mount.cut.clone());
        let service = StreamableHttpService::new(move || Ok(mount.handler()), sessions.clone(), config);
        Self { service, sessions, max_message }
    }

    async fn answer(&self, mut parts: Parts, body: Body) -> Response {
        let body = match Limited::new(body, self.max_message).collect().await {
            Ok(body) => body.to_bytes(),
            Err(cause) if cause.is::<LengthLimitError>() => {
                return error(StatusCode::PAYLOAD_TOO_LARGE, &too_large(self.max_message));
            }
            Err(_) => return refuse(StatusCode::BAD_REQUEST, "the request broke off"),
        };
        let owner = Credentials::of(&parts.headers);
        if let Some(refused) = self.refuse_session(&parts, &owner, &body) {
            return refused;
        }
        accept_both(&mut parts.headers);
        let is_post = parts.method == Method::POST;
        let request = Request::from_parts(parts, Full::new(body.clone()));
        let response = self.service.handle(request).await;
        if let Some(id) = response.headers().get(SESSION_ID).and_then(|id| id.to_str().ok()) {
            self.sessions.belongs(id, owner);
        }
        let response = response.map(Body::new);
        if is_post && response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE && decode(&body).is_err() {
            return error(StatusCode::BAD_REQUEST, &refusal(&body));
        }
        in_json(response).await
    }

    /// Refuses a session that is somebody else's, and one more than there is room for.
    fn refuse_session(&self, parts: &Parts, caller: &Credentials, body: &Bytes) -> Option<Response> {
        match parts.headers.get(SESSION_ID).and_then(|id| id.to_str().ok()) {
            Some(id) if self.sessions.is_foreign(id, caller) => {
                Some(refuse(StatusCode::FORBIDDEN, "this session belongs to somebody else"))
            }
            None if !self.sessions.has_room() && begins_session(body) => {
                let refused =
                    refuse(StatusCode::SERVICE_UNAVAILABLE, "too many sessions are open: try again later");
                Some(([(header::RETRY_AFTER, RETRY_AFTER)], refused).into_response())
            }
            _ => None,
        }
    }
}

/// Answers every request to `/mcp`.
pub(crate) async fn mcp<H: ServerHandler>(
    State(streamable): State<Arc<Streamable<H>>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    streamable.answer(parts, body).await
}

/// A client that takes anything takes what we send.
fn accept_both(headers: &mut HeaderMap) {
    let anything = |accept: &HeaderValue| {
        accept.to_str().is_ok_and(|accept| accept.split(',').any(|kind| kind.trim() == "*/*"))
    };
    if headers.get(header::ACCEPT).is_some_and(anything) {
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    }
}

fn begins_session(body: &[u8]) -> bool {
    matches!(decode(body), Ok(JsonRpcMessage::Request(request))
        if matches!(request.request, ClientRequest::InitializeRequest(_)))
}

/// An answer of rmcp: its errors in plain text become errors that a client can read.
async fn in_json(response: Response) -> Response {
    let status = response.status();
    let has_kind = response.headers().contains_key(header::CONTENT_TYPE);
    if !(status.is_client_error() || status.is_server_error()) || has_kind {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = Limited::new(body, MAX_TEXT).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let text = if status.is_server_error() {
        // It may hold the words of an error inside.
        "the server failed on this request; its log says why".to_owned()
    } else {
        String::from_utf8_lossy(&text).into_owned()
    };
    let mut answer = refuse(status, &text);
    if let Some(allow) = parts.headers.get(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, allow.clone());
    }
    answer
}
