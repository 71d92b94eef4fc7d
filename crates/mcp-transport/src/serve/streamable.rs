//! Streamable HTTP, both eras on one path. rmcp speaks it; here are the checks and the answers that it leaves out.

use std::sync::Arc;

use auth::Caller;
use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use rmcp::{
    ErrorData, ServerHandler,
    model::{ClientRequest, JsonRpcError, JsonRpcMessage},
    transport::{StreamableHttpServerConfig, StreamableHttpService},
};

use super::{
    body,
    decode::{decode, invalid},
    guard::Guard,
    mount::{Handlers, Mount},
    reply::{error, full, refuse},
    sessions::{Opening, Sessions},
};

const SESSION_ID: &str = "mcp-session-id";
/// Longest text of an answer of rmcp that is put into an error.
const MAX_TEXT: usize = 4 * 1024;

/// The service behind `/mcp`.
pub(crate) struct Streamable<H> {
    service: StreamableHttpService<Guard<H>, Sessions>,
    sessions: Arc<Sessions>,
    mount: Arc<Mount<Handlers<H>>>,
}

impl<H: ServerHandler> Streamable<H> {
    pub(crate) fn new(mount: Arc<Mount<Handlers<H>>>, sessions: Arc<Sessions>) -> Self {
        // Host and Origin are checked for all transports alike, before a request comes here.
        let config = StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .disable_allowed_origins()
            .with_max_request_body_bytes(mount.max_message)
            .with_sse_retry(None) // the sessions say it to those who understand it
            .with_json_response(true)
            .with_cancellation_token(mount.lifetime.cut.clone());
        let handlers = mount.clone();
        let service =
            StreamableHttpService::new(move || Ok(handlers.answers.handler()), sessions.clone(), config);
        Self { service, sessions, mount }
    }

    async fn answer(&self, mut parts: Parts, body: Body, caller: Caller) -> Response {
        let session = parts.headers.get(SESSION_ID).and_then(|id| id.to_str().ok());
        if session.is_some_and(|id| self.sessions.is_foreign(id, caller)) {
            return refuse(
                StatusCode::FORBIDDEN,
                "this session belongs to somebody else: send the key that opened it",
            );
        }
        let session = session.map(str::to_owned);
        let is_gone = || session.as_ref().is_some_and(|id| !self.sessions.is_known(id));
        let is_unknown = is_gone();
        if parts.method == Method::POST && !is_json(&parts.headers) {
            return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json");
        }
        let body = match body::read(body, self.mount.max_message, self.mount.timing.idle, &self.mount.bodies)
            .await
        {
            Ok(body) => body,
            Err(refused) => return refused,
        };
        accept_both(&mut parts.headers);
        let is_delete = parts.method == Method::DELETE;
        let request = Request::from_parts(parts, Full::new(body.bytes.clone()));
        let (response, opening) = Opening::scope(caller, self.service.handle(request)).await;
        if opening.found_no_place() {
            return full();
        }
        let is_too_late = response.status().is_server_error() && is_gone();
        if is_too_late || is_delete && is_unknown && response.status().is_success() {
            return refuse(StatusCode::NOT_FOUND, "there is no such session");
        }
        in_json(response.map(Body::new), &body.bytes).await
    }
}

/// Answers every request to `/mcp`.
pub(crate) async fn mcp<H: ServerHandler>(
    State(streamable): State<Arc<Streamable<H>>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    streamable.answer(parts, body, caller).await
}

fn is_json(headers: &HeaderMap) -> bool {
    kinds(headers, header::CONTENT_TYPE).any(|kind| kind.eq_ignore_ascii_case("application/json"))
}

/// A client that takes anything takes what we send.
fn accept_both(headers: &mut HeaderMap) {
    if kinds(headers, header::ACCEPT).any(|kind| kind == "*/*") {
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    }
}

/// The media types in a header, without their parameters.
fn kinds(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|kind| kind.split(';').next()).map(str::trim)
}

/// An answer of rmcp to this body: its errors in plain text become errors that a client can read.
async fn in_json(response: Response, body: &[u8]) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error())
        || kinds(response.headers(), header::CONTENT_TYPE).any(|kind| kind == "application/json")
    {
        return response;
    }
    let (parts, text) = response.into_parts();
    let text = Limited::new(text, MAX_TEXT).collect().await.map(|text| text.to_bytes()).unwrap_or_default();
    let mut answer = explain(status, &text, body);
    if let Some(allow) = parts.headers.get(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, allow.clone());
    }
    answer
}

fn explain(status: StatusCode, text: &Bytes, body: &[u8]) -> Response {
    let request = match decode(body) {
        // rmcp takes it for a media type that it does not support.
        Err(refused) if status == StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            return error(StatusCode::BAD_REQUEST, &refused);
        }
        Ok(JsonRpcMessage::Request(request)) => Some(request),
        _ => None,
    };
    let is_broken_handshake = request.as_ref().is_some_and(|request| {
        matches!(&request.request, ClientRequest::CustomRequest(custom) if custom.method == "initialize")
    });
    let id = request.map(|request| request.id);
    if is_broken_handshake {
        let why = ErrorData::invalid_params("the parameters have the wrong shape", None);
        return error(StatusCode::BAD_REQUEST, &JsonRpcError::new(id, why));
    }
    let why = if status.is_server_error() {
        // It may hold the words of an error inside.
        "the server failed on this request; its log says why".into()
    } else {
        String::from_utf8_lossy(text)
    };
    error(status, &invalid(id, why))
}
