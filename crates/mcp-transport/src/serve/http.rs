//! Streamable HTTP for endpoints, both eras on one path.

mod answer;
mod call;
mod client;
mod eras;
mod events;
mod grace;
mod lane;
mod mirror;
mod post;
mod questions;
mod reader;
mod refusal;
mod sessions;

use std::{panic::AssertUnwindSafe, sync::Arc};

use auth::Caller;
use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::any,
};
use futures_util::FutureExt as _;
use json_rpc::Id;
use tokio_util::sync::CancellationToken;

use self::{
    eras::Era,
    grace::Grace,
    refusal::Refusal,
    sessions::{Found, Named, Sessions},
};
use super::mount::Mount;
use crate::Endpoint;

/// What answers at `/mcp`.
pub(crate) struct Http<E: Endpoint> {
    mount: Arc<Mount<Arc<E>>>,
    grace: Arc<Grace>,
    sessions: Sessions<E::Session>,
}

/// The path of Streamable HTTP.
pub(crate) fn routes<E: Endpoint>(http: &Arc<Http<E>>) -> Router {
    Router::new().route("/mcp", any(mcp::<E>)).with_state(http.clone())
}

/// Answers every request to `/mcp`.
async fn mcp<E: Endpoint>(
    State(http): State<Arc<Http<E>>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let answered = async {
        match *request.method() {
            Method::POST => http.post(request, caller).await,
            Method::GET => http.listen(request.headers(), caller),
            Method::DELETE => http.close(request.headers(), caller),
            _ => Ok(not_allowed("GET, POST, DELETE")),
        }
    };
    // A panic would take the connection with it, and other requests of HTTP/2.
    let answered = AssertUnwindSafe(answered).catch_unwind().await;
    answered.unwrap_or_else(|_| Err(Refusal::broken())).unwrap_or_else(Refusal::into_response)
}

impl<E: Endpoint> Http<E> {
    pub(crate) fn new(mount: Arc<Mount<Arc<E>>>) -> Arc<Self> {
        let grace = Arc::new(Grace::new(mount.lifetime.clone(), mount.timing.grace));
        Arc::new(Self { mount, grace, sessions: Sessions::new() })
    }

    /// The grace period begins.
    pub(crate) fn stop(&self) {
        self.grace.begin();
    }

    /// Closes sessions that nobody has used for so long; runs until it is dropped.
    pub(crate) async fn close_idle(&self, after: std::time::Duration) {
        self.sessions.close_idle(after).await;
    }

    /// Ends all sessions.
    pub(crate) fn end(&self) {
        self.sessions.end();
    }

    fn stopping(&self) -> &CancellationToken {
        &self.mount.lifetime.stopping
    }

    /// Opens the stream on which a client of the older era listens, or goes on with one that broke off (`GET`).
    fn listen(&self, headers: &HeaderMap, caller: Caller) -> Result<Response, Refusal> {
        if !accepts(headers, "text/event-stream") {
            let why = "the stream of a session is text/event-stream, which Accept must have";
            return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, None, why));
        }
        let Some(Found { client, .. }) = self.found(headers, caller)? else { return Ok(not_allowed("POST")) };
        let Some(last) = headers.get("last-event-id") else {
            let reader = client.listen().ok_or_else(|| unknown(None))?;
            return Ok(events::listen(reader, client.primes(), self.stopping()));
        };
        let reader = last.to_str().ok().and_then(|last| client.resume(last));
        Ok(reader.map_or_else(events::none, |reader| events::listen(reader, false, self.stopping())))
    }

    /// Ends a session (`DELETE`).
    fn close(&self, headers: &HeaderMap, caller: Caller) -> Result<Response, Refusal> {
        let Some(Found { id, .. }) = self.found(headers, caller)? else { return Ok(not_allowed("POST")) };
        self.sessions.close(id);
        Ok(StatusCode::ACCEPTED.into_response())
    }

    /// The session of a request without a message; none in the newer era, which has no use for such requests.
    fn found(&self, headers: &HeaderMap, caller: Caller) -> Result<Option<Found<E::Session>>, Refusal> {
        let named = self.sessions.named(headers, caller)?;
        if eras::era(headers)? == Era::Modern {
            return Ok(None);
        }
        match named {
            Named::Known(found) => Ok(Some(found)),
            Named::Unknown => Err(unknown(None)),
            Named::None => Err(Refusal::new(StatusCode::BAD_REQUEST, None, NO_SESSION)),
        }
    }
}

/// What is said to requests of the older era that belong to none.
const NO_SESSION: &str = "the Mcp-Session-Id header is missing: initialize a session first";

fn unknown(id: Option<&Id>) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, id, "there is no such session")
}

fn not_allowed(allowed: &'static str) -> Response {
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, None, "this path has other methods");
    ([(header::ALLOW, HeaderValue::from_static(allowed))], refusal).into_response()
}

/// Whether a client takes this kind of answer.
fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    kinds(headers, header::ACCEPT).any(|kind| kind == "*/*" || kind.eq_ignore_ascii_case(wanted))
}

/// The media types in a header that are not ruled out.
fn kinds(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|kind| {
        let mut parts = kind.split(';').map(str::trim);
        let kind = parts.next()?;
        let is_ruled_out = parts.any(|part| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.parse() == Ok(0.0))
        });
        (!is_ruled_out).then_some(kind)
    })
}
